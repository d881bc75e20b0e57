# SPDX-License-Identifier: LGPL-2.1-or-later
"""The survey of memory access patterns: tests/survey/README.md."""
