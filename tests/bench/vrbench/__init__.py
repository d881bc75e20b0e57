# SPDX-License-Identifier: LGPL-2.1-or-later
"""The benchmark on an emulated host, in parts."""
