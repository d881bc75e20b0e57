# SPDX-License-Identifier: LGPL-2.1-or-later
"""The plots, by gnuplot, each from one file of data."""

import os
import subprocess

from . import data

HEAD = """set terminal svg size 840,420 font 'sans-serif,13' background 'white'
set output '{name}.svg'
set datafile separator ','
set grid lc rgb '#dddddd'
set border 3
set tics nomirror
set key outside right top
set title '{title}'
set xlabel '{x}'
set ylabel '{y}'
"""
COLOURS = ("#1b6ca8", "#c44e28", "#3a8f3a", "#8a4fa0", "#a07a10", "#444444",
           "#d0559a", "#2aa7a7", "#7d7d2e", "#5566dd", "#aa2244", "#66aa22")


def series(path):
    """Names of the series in a file of NAME,X,Y lines, as they come."""
    names = []
    with open(path, encoding="ascii") as file:
        next(file)
        for line in file:
            name = line.split(",")[0]
            if name not in names:
                names.append(name)
    return names


def colour(one, number):
    """A load has one colour in all plots."""
    loads = [f"{device} {load}" for device, loads in data.SHOWN.items()
             for load in loads]
    return COLOURS[(loads.index(one) if one in loads else number)
                   % len(COLOURS)]


def lines(folder, name, title, x, y, more="", style="steps"):
    """A plot with a line for each series of data/NAME.csv."""
    source = os.path.join("data", name + ".csv")
    parts = []
    for number, one in enumerate(series(os.path.join(folder, source))):
        parts.append(
            f"'{source}' skip 1 using (strcol(1) eq '{one}' ? $2 : NaN):3 "
            f"with {style} lw 2 lc rgb '{colour(one, number)}' "
            f"title '{one}' noenhanced")
    draw(folder, HEAD.format(name=name, title=title, x=x, y=y) + more
         + "set datafile missing NaN\nplot " + ", \\\n".join(parts) + "\n")


def bars(folder, name, title, y):
    source = os.path.join("data", name + ".csv")
    draw(folder, HEAD.format(name=name, title=title, x="", y=y)
         + "set style fill solid 0.8\nset boxwidth 0.7\nset logscale y\n"
         "set xtics rotate by 40 right noenhanced\nunset key\n"
         "set bmargin 9\nset lmargin 12\n"
         "set yrange [0.7:*]\n"
         f"plot '{source}' skip 1 using 0:3:xtic(1) with boxes "
         f"lc rgb '{COLOURS[0]}', '{source}' skip 1 using "
         "0:3:(sprintf($3 < 10 ? '%.1f' : '%.0f', $3)) with labels "
         "offset 0,0.6\n")


def draw(folder, script):
    subprocess.run(["gnuplot"], input=script, text=True, cwd=folder,
                   check=True)
