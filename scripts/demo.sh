#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Shows sluice at work: builds it where needed, puts a client, a node and two backends into network namespaces, and sends
# real traffic (curl, dig, iperf3) through the node's XDP and AF_XDP tiers. Touches nothing else on this machine, and
# takes everything down again. Exit status 0 if all of it worked.
#   sudo scripts/demo.sh
# SLUICE_BUILD=DIRECTORY takes the programs from there and does not build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib/lab.sh
source scripts/lib/lab.sh

client=198.51.100.2
web_xdp=192.0.2.10      # served by the XDP program
web_af_xdp=192.0.2.20   # served by the engine, over XDP sockets
dns=192.0.2.53
datagrams=20000
failures=()

if [[ -t 1 ]]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
    bold='' green='' red='' plain=''
fi

title() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
note() { printf '  %s\n' "$*"; }
quote() { sed 's/^/    /'; }

# passed TEXT / failed TEXT: one line of what is summed up at the end
passed() { printf '  %sok%s    %s\n' "$green" "$plain" "$1"; }
failed() {
    printf '  %sFAIL%s  %s\n' "$red" "$plain" "$1"
    failures+=("$1")
}
# expect TEXT COMMAND ...: whether COMMAND succeeds
expect() {
    local text=$1
    shift
    if "$@" >/dev/null 2>&1; then passed "$text"; else failed "$text"; fi
}

build() {
    if [[ -n ${SLUICE_BUILD:-} ]]; then
        programs=$SLUICE_BUILD
        return
    fi
    title "Building (nothing to do if it is built)"
    programs=build
    local log
    log=$(mktemp)
    if ! scripts/build.sh control/sluiced/sluiced control/sluicectl/sluicectl >"$log" 2>&1; then
        tail -n 30 "$log"
        rm -f "$log"
        echo "demo: the build failed" >&2
        exit 1
    fi
    rm -f "$log"
    note "done"
}

make_network() {
    title "A network: one client, one node, two backends"
    lab_begin
    for name in client node backend1 backend2; do lab_namespace "$name"; done
    lab_in node sysctl -qw net.ipv4.ip_forward=1
    lab_wire client cl0 198.51.100.1/24 $client/24
    lab_wire backend1 be1 10.0.1.1/24 10.0.1.2/24
    lab_wire backend2 be2 10.0.2.1/24 10.0.2.2/24
    note "client $client --- cl0 [node: sluiced] be1 --- backend 1 10.0.1.2 (nginx, dnsmasq, iperf3)"
    note "                                        be2 --- backend 2 10.0.2.2 (nginx, dnsmasq)"
}

start_backend() {
    local number=$1 home=$lab_home/backend$1
    mkdir "$home"
    cat >"$home/nginx.conf" <<END
daemon off; master_process off; pid $home/pid; error_log stderr error;
events { }
http {
  access_log off; keepalive_timeout 120; client_body_temp_path $home/a; proxy_temp_path $home/b; fastcgi_temp_path $home/c;
  uwsgi_temp_path $home/d; scgi_temp_path $home/e;
  server { listen 80; location / { return 200 "backend $number, seen from \$remote_addr\n"; } }
}
END
    lab_spawn "backend$number" "$home/nginx.log" nginx -c "$home/nginx.conf" -p "$home"
    lab_spawn "backend$number" "$home/dnsmasq.log" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv \
        --no-hosts --user=root --pid-file "--address=/demo.example/203.0.113.$number"
    # takes the datagrams that are counted, and says how many came
    lab_spawn "backend$number" "$home/counted" /usr/bin/python3 -uc '
import socket
taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taker.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
taker.bind(("", 9000))
count = 0
while True:
    data, sender = taker.recvfrom(2048)
    if data == b"how many?":
        taker.sendto(str(count).encode(), sender)
    else:
        count += 1
'
    lab_wait 5 lab_in client curl -s --max-time 1 "http://10.0.$number.2/"
}

configure() {
    local both='[{ address: 10.0.1.2 }, { address: 10.0.2.2 }]'
    cat >"$lab_home/sluice.yaml" <<END
version: 1
interfaces: [{ name: cl0 }, { name: be1 }, { name: be2 }]
services:
  - { name: web,          vip: $web_xdp, protocol: tcp, ports: "80", tier: auto, backends: $both }
  - { name: web-engine,   vip: $web_af_xdp, protocol: tcp, ports: "80", tier: af_xdp, backends: $both }
  - { name: dns,          vip: $dns, protocol: udp, ports: "53", backends: $both }
  - { name: count,        vip: $web_xdp, protocol: udp, ports: "9000", backends: $both }
  - { name: count-engine, vip: $web_af_xdp, protocol: udp, ports: "9000", tier: af_xdp, backends: $both }
  - { name: iperf,        vip: $web_xdp, protocol: tcp, ports: "5201", backends: [{ address: 10.0.1.2 }] }
  - { name: iperf-engine, vip: $web_af_xdp, protocol: tcp, ports: "5201", tier: af_xdp, backends: [{ address: 10.0.1.2 }] }
tables: { flows: 65536, sources: 1024, services: 256, backends: 256, fragments: 1024 }
metrics: { listen: "127.0.0.1:8082" }
control: { socket: $lab_home/sluice.sock }
state: { bpffs: $lab_home/bpf/sluice }
END
}

start_daemon() {
    lab_spawn node "$lab_home/sluiced.log" env "LIBXDP_BPFFS=$lab_home/bpf" "$programs/control/sluiced/sluiced" \
        --config "$lab_home/sluice.yaml" --detach
    daemon=$lab_pid
    if ! lab_wait 20 lab_in node curl -sf http://127.0.0.1:8082/readyz; then
        quote <"$lab_home/sluiced.log"
        echo "demo: sluiced did not get ready" >&2
        exit 1
    fi
}

ctl() { lab_in node "$programs/control/sluicectl/sluicectl" --socket "$lab_home/sluice.sock" "$@"; }
metrics() { lab_in node curl -sf http://127.0.0.1:8082/metrics; }
# metric NAME LABEL...: the sum of the samples of NAME that have all of these labels
metric() {
    metrics | /usr/bin/python3 -c '
import sys
name, *labels = sys.argv[1:]
print(sum(int(float(line.rsplit(" ", 1)[1])) for line in sys.stdin
          if line.startswith(name + "{") and all(label in line for label in labels)))' "$@"
}

show_tiers() {
    title "sluiced runs; its tiers, by interface"
    ctl --json status | jq -r '.interfaces[] | .name as $name | .tiers[] | select(.active)
        | "\($name)  \(.tier)  \(.mode)\(if .reason == "" then "" else "  (\(.reason))" end)"' | cut -c1-110 | quote
}

try_web() {
    local vip=$1 tier=$2 answers
    answers=$(for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do lab_in client curl -s --max-time 2 "http://$vip/"; done | sort | uniq -c)
    quote <<<"$answers"
    if [[ $(grep -c "seen from $client" <<<"$answers") == 2 ]] && (($(awk '{ sum += $1 } END { print sum }' <<<"$answers") == 12)); then
        passed "12 requests by curl over the $tier tier, answered by both backends, which see the client's own address"
    else
        failed "12 requests by curl over the $tier tier"
    fi
}

try_dns() {
    local answers
    answers=$(for _ in 1 2 3 4 5 6 7 8; do lab_in client dig +short +time=2 +tries=1 "@$dns" www.demo.example; done | sort | uniq -c)
    quote <<<"$answers"
    if (($(awk '{ sum += $1 } END { print sum }' <<<"$answers") == 8)); then
        passed "8 queries by dig (UDP), answered"
    else
        failed "8 queries by dig (UDP)"
    fi
}

# try_count VIP TIER SERVICE: a known number of datagrams, against what the metrics say
try_count() {
    local vip=$1 tier=$2 service=$3 before after bytes_before bytes_after sent
    lab_in client /usr/bin/python3 -c "$sender" "$vip" 64 >/dev/null  # next hops known, flows made
    before=$(metric sluice_service_packets_total "service=\"$service\"" 'direction="to_backend"')
    bytes_before=$(metric sluice_service_bytes_total "service=\"$service\"" 'direction="to_backend"')
    sent=$(lab_in client /usr/bin/python3 -c "$sender" "$vip" "$datagrams")
    after=$(metric sluice_service_packets_total "service=\"$service\"" 'direction="to_backend"')
    bytes_after=$(metric sluice_service_bytes_total "service=\"$service\"" 'direction="to_backend"')
    note "sluice_service_packets_total{service=\"$service\"}  $before -> $after"
    note "sluice_service_bytes_total{service=\"$service\"}    $bytes_before -> $bytes_after"
    if ((after - before == sent && bytes_after - bytes_before == sent * 106)); then
        passed "/metrics counted exactly the $sent datagrams of 106 bytes sent over the $tier tier"
    else
        failed "/metrics counted $((after - before)) of $sent datagrams over the $tier tier"
    fi
}

# Sends so many datagrams of 64 bytes over 16 flows, a few at a time; prints how many it sent.
sender='
import socket, sys, time
address, count = sys.argv[1], int(sys.argv[2])
senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(16)]
for each in senders:
    each.connect((address, 9000))
for number in range(count):
    senders[number % 16].send(bytes(64))
    if number % 32 == 31:
        time.sleep(0.0005)
time.sleep(0.2)
print(count)'

try_iperf() {
    local vip=$1 tier=$2 rate
    rate=$(lab_in client timeout 20 iperf3 -J -t 3 -c "$vip" 2>/dev/null | jq -r '.end.sum_received.bits_per_second / 1e7 | floor / 100' || true)
    if [[ -n $rate && $rate != null && $rate != 0 ]]; then
        passed "iperf3 over the $tier tier: $rate Gbit/s"
    else
        failed "iperf3 over the $tier tier"
    fi
}

show_reports() {
    title "sluicectl services"
    ctl services | quote
    title "sluicectl flows --service web-engine --limit 2"
    ctl flows --service web-engine --limit 2 | quote
    title "sluicectl status (interface cl0)"
    ctl status | awk '/^cl0/ { show = 1 } /^$/ { show = 0 } show' | quote
}

try_crash() {
    local program
    program=$(ip -n "$(lab_name node)" -j link show dev cl0 | jq -r '.[0].xdp.prog.id')
    kill -KILL "$daemon"
    wait "$daemon" 2>/dev/null || true
    note "sluiced (pid $daemon) is gone"
    try_web "$web_xdp" "XDP (without a daemon)"
    expect "ping to the node is answered" lab_in client ping -qc 3 -i 0.1 -W 1 198.51.100.1
    start_daemon
    note "$(ctl --json status | jq -r '"a new one runs, pid \(.pid): \(.adoption)"')"
    expect "the new daemon adopted the program (id $program)" \
        test "$(ip -n "$(lab_name node)" -j link show dev cl0 | jq -r '.[0].xdp.prog.id')" = "$program"
    expect "and the flows" test "$(ctl --json flows | jq '.flows | length')" -gt 0
    expect "the engine serves again" lab_in client curl -sf --max-time 2 "http://$web_af_xdp/"
}

try_stop() {
    kill -TERM "$daemon"
    lab_wait 10 bash -c "! kill -0 $daemon" || true
    expect "no XDP program is left" test -z "$(ip -n "$(lab_name node)" -j link show dev cl0 | jq -r '.[0].xdp // empty')"
    expect "no pin is left" test ! -e "$lab_home/bpf/sluice"
    expect "ping to the node is answered" lab_in client ping -qc 3 -i 0.1 -W 1 198.51.100.1
}

if [[ $EUID -ne 0 ]]; then
    echo "demo: needs root for network namespaces and BPF: sudo scripts/demo.sh" >&2
    exit 1
fi
started=$SECONDS
build
make_network
start_backend 1
start_backend 2
lab_spawn backend1 "$lab_home/iperf3.log" iperf3 -s
configure
start_daemon
show_tiers
title "curl to $web_xdp: the XDP program picks the backend, rewrites and forwards"
try_web "$web_xdp" XDP
title "curl to $web_af_xdp: the program hands over to a worker's XDP socket, the engine forwards"
try_web "$web_af_xdp" AF_XDP
title "dig @$dns"
try_dns
title "Counters tell the truth"
try_count "$web_xdp" XDP count
try_count "$web_af_xdp" AF_XDP count-engine
title "Throughput (one TCP stream over veth, all on this machine)"
try_iperf "$web_xdp" XDP
try_iperf "$web_af_xdp" AF_XDP
show_reports
title "kill -9 of the daemon"
try_crash
title "A stop with --detach"
try_stop

title "Summary"
if [[ ${#failures[@]} -eq 0 ]]; then
    note "everything worked, in $((SECONDS - started)) s; nothing is left behind"
    exit 0
fi
note "failed:"
printf '    %s\n' "${failures[@]}"
note "the daemon's last words:"
tail -n 20 "$lab_home/sluiced.log" | quote
exit 1
