"""A figure of matplotlib for a narrow page: its panels below each other, or made narrower.

In matplotlib's SVG each panel, legend and text of a figure is a group of its own. A panel that
stands beside another is moved below it, and gets the labels of an axis that it shared with its
neighbour; the entries of a legend flow into lines of the new width. Nothing is scaled. Panels that
stand in one column are squeezed (``squeezed_panel.py``), but not their letters.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from itertools import combinations
from xml.etree import ElementTree as ET

from squeezed_panel import WORDS, squeeze
from svg_ink import HREF, SVG, Box, Ink, union

ET.register_namespace("", SVG[1:-1])
ET.register_namespace("xlink", HREF[1:].partition("}")[0])

MARGIN, GAP, LINE = 4.0, 14.0, 4.0
"""Points around the figure, between panels, and between the lines and entries of a legend."""

WIDTH = 326.0  # of a squeezed figure: on a phone its points are a little more than pixels
BAR = 0.07  # of the figure's width: what is thinner is a colour bar


@dataclass
class Panel:
    """One pair of axes, with what moves with it."""

    group: ET.Element
    frame: Box
    moved: list[ET.Element] = field(default_factory=list)


def stacked(svg: str) -> str | None:
    """Return a picture with its panels below each other; None where none stands beside another."""
    root = ET.fromstring(svg)
    figure = root.find(f"{SVG}g[@id='figure_1']")
    if figure is None:
        return None
    ink = Ink(root)
    paper, *parts = figure
    panels, others = _sorted_out(parts, ink, ink.box(paper).width)
    if panels is None or not any(_beside(a.frame, b.frame) for a, b in combinations(panels, 2)):
        return None
    for panel in panels:
        _complete(panel, panels)
    middle = union([panel.frame for panel in panels]).middle
    above, below = [], []
    for part in others:
        box = ink.box(part)
        home = _home(box, panels, middle)
        if home is not None:
            home.moved.append(part)
        elif box.y1 <= min(panel.frame.y0 for panel in panels):
            above.append(part)
        elif box.y0 >= max(panel.frame.y1 for panel in panels):
            below.append(part)
        else:
            return None
    return _laid_out(root, paper, panels, above, below, ink)


def squeezed(svg: str) -> str | None:
    """Return a picture of one column as wide as a phone; None where that cannot be.

    It cannot where panels stand side by side, and where names would touch or nothing is too wide.
    """
    words = dict(WORDS.findall(svg))
    right = 0.0  # what the letters need beyond their panel, which they reach when it is narrower
    for _ in range(4):
        root = ET.fromstring(svg)
        figure = root.find(f"{SVG}g[@id='figure_1']")
        if figure is None:
            return None
        paper, *parts = figure
        ink = Ink(root)
        before = ink.box(paper).width
        panels, others = _sorted_out(parts, ink, before)
        if panels is None or before <= WIDTH:
            return None
        if any(_beside(a.frame, b.frame) for a, b in combinations(panels, 2)):
            return None
        low, high = min(p.frame.y0 for p in panels), max(p.frame.y1 for p in panels)
        above = [part for part in others if ink.box(part).y1 <= low]
        below = [part for part in others if ink.box(part).y0 >= high]
        if len(above) + len(below) < len(others):
            return None
        left = max(p.frame.x0 - ink.box(p.group).x0 for p in panels)
        bars = max([ink.box(bar).x1 - p.frame.x1 for p in panels for bar in p.moved], default=0)
        width = WIDTH - 4 * MARGIN - left - bars - right
        if width < WIDTH / 3:
            return None
        for panel in panels:
            frame = squeeze(panel.group, panel.frame, width, root, words)
            if frame is None:
                return None
            for part in panel.moved:
                _move(part, frame.x1 - panel.frame.x1, 0)
            panel.frame = frame
        done = _laid_out(root, paper, panels, above, below, Ink(root))
        excess = float(str(root.get("width")).removesuffix("pt")) - WIDTH
        if excess < 1:
            return done
        right += excess
    return None


def narrow(svg: str) -> str | None:
    """Return a picture for a phone; None where it has to be the wide one."""
    return stacked(svg) or squeezed(svg)


def _sorted_out(
    parts: list[ET.Element], ink: Ink, width: float
) -> tuple[list[Panel] | None, list[ET.Element]]:
    """The panels row by row, with their colour bars, and the figure's own legends and texts."""
    panels: list[Panel] = []
    bars: list[Panel] = []
    others: list[ET.Element] = []
    for part in parts:
        kind = str(part.get("id")).partition("_")[0]
        if kind == "axes":
            frame = _frame(part, ink)
            thin = min(frame.width, frame.height) < BAR * width
            (bars if thin else panels).append(Panel(part, frame))
        elif kind in ("legend", "text"):
            if kind == "legend":
                _drop_frame(part, ink)
            others.append(part)
        else:
            return None, []
    if not panels:
        return None, []
    for bar in bars:
        min(panels, key=lambda panel: panel.frame.distance(bar.frame)).moved.append(bar.group)
    rows: list[list[Panel]] = []
    for panel in sorted(panels, key=lambda panel: panel.frame.y0):
        if rows and panel.frame.y0 < rows[-1][0].frame.middle_y:
            rows[-1].append(panel)
        else:
            rows.append([panel])
    return [p for row in rows for p in sorted(row, key=lambda panel: panel.frame.x0)], others


def _drop_frame(legend: ET.Element, ink: Ink) -> None:
    """Remove the box around a legend, whose entries will stand in other lines."""
    first, *entries = legend
    around = union([ink.box(entry) for entry in entries])
    if str(first.get("id")).startswith("patch_") and ink.box(first).width >= around.width:
        legend.remove(first)


def _frame(axes: ET.Element, ink: Ink) -> Box:
    """The rectangle of the axes: their paper, or all of their ink where they have none."""
    first = axes.find(f"{SVG}g")
    if first is not None and str(first.get("id")).startswith("patch_"):
        return ink.box(first)
    return ink.box(axes)


def _beside(a: Box, b: Box) -> bool:
    """Whether two frames stand in one row."""
    shared = min(a.y1, b.y1) - max(a.y0, b.y0)
    return shared > min(a.height, b.height) / 2 and (a.x1 <= b.x0 or b.x1 <= a.x0)


def _home(box: Box, panels: list[Panel], middle: float) -> Panel | None:
    """The one panel that a legend or a text stands above or below, if it is one panel's."""
    if abs(box.middle - middle) < GAP:  # centred in the figure: of all panels
        return None
    across = [p for p in panels if p.frame.x0 < box.x1 and box.x0 < p.frame.x1]
    columns = {round(panel.frame.middle) for panel in across}
    if len(columns) != 1:
        return None
    return min(across, key=lambda panel: panel.frame.distance(box))


def _axis(panel: Panel, which: int) -> ET.Element | None:
    """The x axis (0) or the y axis (1) of a panel."""
    found = [g for g in panel.group if str(g.get("id")).startswith("matplotlib.axis")]
    return found[which] if len(found) == 2 else None


def _texts(axis: ET.Element) -> list[ET.Element]:
    return [g for g in axis.iter(f"{SVG}g") if str(g.get("id")).startswith("text_")]


def _ticks(panel: Panel, which: int) -> list[str]:
    """Where an axis has its ticks."""
    axis = _axis(panel, which)
    marks = [] if axis is None else axis.iterfind(f"{SVG}g/{SVG}g/{SVG}g/{SVG}use")
    return [mark.attrib["xy"[which]] for mark in marks if "xy"[which] in mark.attrib]


def _complete(panel: Panel, panels: list[Panel]) -> None:
    """Give a panel the labels of the axes that it shared with its neighbours."""
    for which in (0, 1):
        own = _axis(panel, which)
        if own is None or _texts(own):
            continue
        for other in panels:
            theirs = _axis(other, which)
            if theirs is None or not _texts(theirs) or not _shared(panel, other, which):
                continue
            dx = 0 if which == 0 else panel.frame.x0 - other.frame.x0
            dy = panel.frame.y1 - other.frame.y1 if which == 0 else 0
            copies = ET.SubElement(panel.group, f"{SVG}g")
            _move(copies, dx, dy)
            copies.extend(deepcopy(_texts(theirs)))
            break


def _shared(panel: Panel, other: Panel, which: int) -> bool:
    """Whether two panels have their x (0) or y (1) axes, with the same ticks, at one place."""
    here, there = panel.frame, other.frame
    ends = (here[which] - there[which], here[which + 2] - there[which + 2])
    return max(map(abs, ends)) < 1 and _ticks(panel, which) == _ticks(other, which)


def _laid_out(
    root: ET.Element,
    paper: ET.Element,
    panels: list[Panel],
    above: list[ET.Element],
    below: list[ET.Element],
    ink: Ink,
) -> str:
    """The picture with one panel below the other, and between what stood above and below all."""
    boxes = [union([ink.box(part) for part in (p.group, *p.moved)]) for p in panels]
    pairs = list(zip(panels, boxes, strict=True))
    left = MARGIN + max(panel.frame.x0 - box.x0 for panel, box in pairs)
    right = MARGIN + max(box.x1 - panel.frame.x0 for panel, box in pairs)
    words = [box.width for part in (*above, *below) for _, box in _entries(part, ink)]
    width, y = max(left + right, *words, 0) + 2 * MARGIN, MARGIN
    for part in above:
        y = _flow(part, width, y, ink) + LINE
    bottom = y
    for panel, box in pairs:
        # A colour bar of several panels reaches beyond its own, beside the next one.
        own = ink.box(panel.group)
        tall = box.height > 1.3 * own.height
        for part in (panel.group, *panel.moved):
            _move(part, left - panel.frame.x0, y - (own if tall else box).y0)
        if tall:
            for part in panel.moved:
                _move(part, 0, y - ink.box(part).y0)
        bottom = max(bottom, y + box.height)
        y += (own if tall else box).height + GAP
    y = max(y - GAP, bottom)
    for part in below:
        y = _flow(part, width, y + 2 * LINE, ink)
    height = y + MARGIN
    next(paper.iter(f"{SVG}path")).set("d", f"M 0 0 L {width} 0 L {width} {height} L 0 {height} z")
    root.set("viewBox", f"0 0 {width:.2f} {height:.2f}")
    root.set("width", f"{width:.2f}pt")
    root.set("height", f"{height:.2f}pt")
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _entries(part: ET.Element, ink: Ink) -> list[tuple[list[ET.Element], Box]]:
    """The entries of a legend, each a sign or more and its text; a text is one entry."""
    entries: list[list[ET.Element]] = [[]]
    for child in part if str(part.get("id")).startswith("legend") else [part]:
        entries[-1].append(child)
        if str(child.get("id")).startswith("text_"):
            entries.append([])
    return [(entry, union([ink.box(child) for child in entry])) for entry in entries if entry]


def _flow(part: ET.Element, width: float, y: float, ink: Ink) -> float:
    """Place a legend, entry by entry, or a text below ``y``, and return where it ends."""
    lines: list[list[tuple[list[ET.Element], Box]]] = []
    room = 0.0
    for entry, box in _entries(part, ink):
        if box.width > room:
            lines.append([])
            room = width - 2 * MARGIN
        lines[-1].append((entry, box))
        room -= box.width + GAP
    widest = max(sum(box.width + GAP for _, box in line) - GAP for line in lines)
    for line in lines:
        x = (width - widest) / 2
        height = max(box.height for _, box in line)
        for entry, box in line:
            for child in entry:
                _move(child, x - box.x0, y + height / 2 - box.middle_y)
            x += box.width + GAP
        y += height + LINE
    return y - LINE


def _move(part: ET.Element, dx: float, dy: float) -> None:
    before = part.get("transform", "")
    part.set("transform", f"translate({dx:.2f} {dy:.2f}) {before}".strip())
