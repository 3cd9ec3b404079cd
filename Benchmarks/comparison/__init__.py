# SPDX-License-Identifier: Apache-2.0
"""The parts of ../compare: processes (children and their end), build, benchmarks (what is run), report (tables)."""
