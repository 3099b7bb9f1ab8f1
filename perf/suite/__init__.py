# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: figures and their noise, facts of the machine, documents, plots, baselines."""
