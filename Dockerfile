# syntax=docker/dockerfile:1
# SPDX-License-Identifier: Apache-2.0
#
# The daemon with sluicectl, sluice-replay and bpftool.
#   buildah bud --isolation chroot -t sluice .       or: docker build -t sluice .
# BASE: any Debian 12. The stage `build` can be replaced by a tree that `meson install --destdir` made:
#   --build-context build=DIRECTORY, with the tree in DIRECTORY/out (scripts/build-image.sh does it).
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
COPY . .
RUN scripts/setup.sh && \
    meson setup build --prefix=/usr -Dperf=disabled && \
    ninja -C build control/sluiced/sluiced control/sluicectl/sluicectl control/replay/sluice-replay && \
    meson install -C build --no-rebuild --tags runtime,config --destdir /out

FROM ${BASE}
# DPDK's drivers are plug-ins: librte-meta-net and -bus bring what the daemon does not link.
RUN apt-get update && \
    apt-get install -y --no-install-recommends libspdlog1.10 libfmt9 libyaml-cpp0.7 libcpp-httplib0.11 libhttp-parser2.9 \
        libcurl4 libldns3 libprometheus-cpp-core1.0 libnl-3-200 libnl-route-3-200 libnl-genl-3-200 libnftables1 libbpf1 libxdp1 \
        libnuma1 libcap2 libseccomp2 libpcap0.8 libncursesw6 librte-eal23 librte-ethdev23 librte-mbuf23 librte-mempool23 \
        librte-net-ring23 librte-ring23 librte-meta-net librte-meta-bus librte-meta-mempool bpftool iproute2 ethtool && \
    rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /
COPY config/sluice.yaml config/bogons.txt /etc/sluice/
ENTRYPOINT ["/usr/bin/sluiced"]
CMD ["--config", "/etc/sluice/sluice.yaml"]
