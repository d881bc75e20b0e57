# SPDX-License-Identifier: LGPL-2.1-or-later
"""What administrators do to guests with restricted devices and to their driver
domains: one group a file, operations/NAME, in the order of the files' names."""
