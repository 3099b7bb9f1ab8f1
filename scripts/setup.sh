#!/usr/bin/env bash
# Installs what building and testing sluice needs on Debian 12, and only what is missing; silent when nothing is.
#   scripts/setup.sh          install (root)
#   scripts/setup.sh --check  name what is missing and exit 1, or exit 0
# Services that come with a package (nginx, haproxy, prometheus) are neither started nor enabled.
set -euo pipefail

build_tools=(git g++ meson ninja-build ccache pkg-config python3 clang-14 llvm bpftool)
libraries=(libbpf-dev libxdp-dev libelf-dev zlib1g-dev libnuma-dev libcap-dev libseccomp-dev libpcap-dev liburcu-dev
    libnl-3-dev libnl-route-3-dev libnl-genl-3-dev libnftables-dev libspdlog-dev libfmt-dev libyaml-cpp-dev nlohmann-json3-dev
    libcli11-dev
    libncurses-dev libcpp-httplib-dev libldns-dev libcurl4-openssl-dev libhttp-parser-dev prometheus-cpp-dev libdpdk-dev dpdk
    dpdk-dev libgtest-dev libbenchmark-dev libabsl-dev)
checkers=(clang-format clang-tidy shellcheck)
test_programs=(tshark tcpdump python3-scapy python3-yaml python3-jsonschema nginx-light libnginx-mod-stream haproxy dnsmasq-base bind9-dnsutils iperf3
    prometheus iproute2 iputils-ping ethtool nftables curl jq procps valgrind)
services=(nginx haproxy prometheus prometheus-node-exporter)

wanted=("${build_tools[@]}" "${libraries[@]}" "${checkers[@]}" "${test_programs[@]}")

missing_packages() {
    local installed
    installed=" $(dpkg-query -W -f='${Package}=${db:Status-Status} ' "${wanted[@]}" 2>/dev/null || true)"
    local name
    for name in "${wanted[@]}"; do
        [[ $installed == *" $name=installed "* ]] || echo "$name"
    done
}

case "${1:-}" in
    "" | --check) ;;
    *) echo "usage: scripts/setup.sh [--check]" >&2; exit 2 ;;
esac

command -v apt-get >/dev/null || { echo "setup: expected Debian 12 with apt-get; there is none" >&2; exit 1; }
mapfile -t missing < <(missing_packages)
[[ ${#missing[@]} -eq 0 ]] && exit 0
if [[ "${1:-}" == --check ]]; then
    echo "setup: missing: ${missing[*]}"
    exit 1
fi
if [[ $EUID -ne 0 ]]; then
    echo "setup: missing: ${missing[*]}; run 'sudo scripts/setup.sh'" >&2
    exit 1
fi

# invoke-rc.d asks policy-rc.d before it starts anything; 101 means no. Whatever was there is put back.
policy=/usr/sbin/policy-rc.d
saved=$(mktemp -d)
restore_policy() {
    rm -f "$policy"
    [[ ! -e "$saved/policy" ]] || mv "$saved/policy" "$policy"
    rm -rf "$saved"
}
trap restore_policy EXIT
[[ ! -e "$policy" ]] || mv "$policy" "$saved/policy"
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

known_services=" $(dpkg-query -W -f='${Package} ' "${services[@]}" 2>/dev/null || true)"
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt_options=(-qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
log=$saved/apt.log
if ! { apt-get "${apt_options[@]}" update &&
    apt-get "${apt_options[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    echo "setup: apt-get failed" >&2
    exit 1
fi

# Packages enable their units for the next boot; those that came just now stay off.
if [[ -d /run/systemd/system ]]; then
    for service in "${services[@]}"; do
        [[ $known_services == *" $service "* ]] || systemctl disable --quiet "$service" 2>/dev/null || true
    done
fi
