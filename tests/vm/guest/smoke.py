#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One daemon on two virtio-net NICs of one queue, each on a NUMA node of its own."""

import forwarding
import nics


class Virtio(forwarding.Forwarding):
    front, back = "v0", "w1"


if __name__ == "__main__":
    del forwarding.Forwarding  # a base, no case
    nics.main()
