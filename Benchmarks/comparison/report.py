# SPDX-License-Identifier: Apache-2.0
"""Medians, ratios, verdicts, and the three forms they are given in: a text table, a Markdown table, JSON."""

import dataclasses
import statistics

from comparison.benchmarks import PEERS


@dataclasses.dataclass
class Figure:
    values: list

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def spread(self):
        """Half the distance from the lowest to the highest value, as a part of the median."""
        return (max(self.values) - min(self.values)) / 2 / self.median if self.median else 0

    def text(self):
        spread = f" ±{100 * self.spread:.0f}%" if len(self.values) > 1 else ""
        return f"{number(self.median)}{spread}"


@dataclasses.dataclass
class Row:
    """A measure with one number of processors: its figures, the ratios of Apus to each peer, and the verdict."""

    processors: int
    benchmark: str
    measure: object
    figures: dict  # peer -> Figure

    def ratio(self, peer):
        if peer == "apus" or "apus" not in self.figures or peer not in self.figures or not self.figures[peer].median:
            return None
        return self.figures["apus"].median / self.figures[peer].median

    def ratio_text(self, peer):
        ratio = self.ratio(peer)
        most = self.measure.ratios.get(peer)
        if ratio is None:
            return "" if most is None else f"? ≤ {most:g}"
        return f"{ratio:.2f}" if most is None else f"{ratio:.2f} {'≤' if ratio <= most else '>'} {most:g}"

    def limit_text(self):
        if self.measure.at_most is not None:
            return f"≤ {self.measure.at_most:g} {self.measure.unit}"
        return f"< {self.measure.below:g}" if self.measure.below is not None else ""

    def verdict(self):
        """True, False, or None: it has no target, or a figure that the target needs is missing."""
        checks = []
        if "apus" in self.figures:
            apus = self.figures["apus"].median
            if self.measure.at_most is not None:
                checks.append(apus <= self.measure.at_most)
            if self.measure.below is not None:
                checks.append(apus < self.measure.below)
            for peer, most in self.measure.ratios.items():
                ratio = self.ratio(peer)
                checks.append(None if ratio is None else ratio <= most)
        if False in checks:
            return False
        return None if None in checks or not checks else True

    def has_target(self):
        return bool(self.measure.ratios) or self.measure.at_most is not None or self.measure.below is not None

    def verdict_text(self):
        if not self.has_target():
            return ""
        return {True: "met", False: "MISSED", None: "not measured"}[self.verdict()]


def number(value):
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    digits = 0
    while abs(value) * 10**digits < 100 and digits < 3:
        digits += 1
    return f"{value:,.{digits}f}"


def rows(results):
    """`results`: (processors, benchmark) -> peer -> the outputs of its rounds."""
    made = []
    for (processors, benchmark), outputs in results.items():
        for measure in benchmark.measures:
            figures = {peer: Figure([measure.value(output) for output in rounds])
                       for peer, rounds in outputs.items() if rounds}
            made.append(Row(processors, benchmark.name, measure, figures))
    return made


def cells(row, peers):
    name = row.measure.name + (f", {row.measure.unit}" if row.measure.unit else "")
    figures = [row.figures[peer].text() if peer in row.figures else "" for peer in peers]
    ratios = [row.ratio_text(peer) for peer in peers if peer != "apus"]
    return [name, *figures, *ratios, row.limit_text(), row.verdict_text()]


def tables(all_rows, markdown):
    """One table for each number of processors."""
    text = []
    for processors in dict.fromkeys(row.processors for row in all_rows):
        chosen = [row for row in all_rows if row.processors == processors]
        peers = [peer for peer in PEERS if any(peer in row.figures or peer in row.measure.ratios for row in chosen)]
        if "apus" not in peers:
            peers.insert(0, "apus")
        heads = ["", *(PEERS[peer] for peer in peers), *(f"Apus : {PEERS[peer]}" for peer in peers if peer != "apus"),
                 "limit", "target"]
        body = [cells(row, peers) for row in chosen]
        # A column with nothing in it (no peer but Go, no limit) only takes room.
        kept = [column for column in range(len(heads)) if column == 0 or any(line[column] for line in body)]
        heads = [heads[column] for column in kept]
        body = [[line[column] for column in kept] for line in body]
        title = "1 processor" if processors == 1 else f"{processors} processors"
        text.append(markdown_table(title, heads, body) if markdown else text_table(title, heads, body))
    return "\n\n".join(text)


def markdown_table(title, heads, body):
    heads = [title, *heads[1:]]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(line) + " |" for line in body])


def text_table(title, heads, body):
    widths = [max(len(line[column]) for line in [heads, *body]) for column in range(len(heads))]

    def line(parts):
        first = parts[0].ljust(widths[0])
        return "  ".join([first, *(part.rjust(width) for part, width in zip(parts[1:], widths[1:]))]).rstrip()

    return "\n".join([title, line(heads), "-" * (sum(widths) + 2 * len(widths) - 2), *map(line, body)])


def as_json(all_rows, results, failures, about):
    return about | {
        "measures": [{
            "processors": row.processors,
            "benchmark": row.benchmark,
            "measure": row.measure.name,
            "unit": row.measure.unit,
            "figures": {peer: {"median": figure.median, "spread": figure.spread, "values": figure.values}
                        for peer, figure in row.figures.items()},
            "ratios": {peer: row.ratio(peer) for peer in row.figures if row.ratio(peer) is not None},
            "targets": row.measure.ratios
            | ({"at_most": row.measure.at_most} if row.measure.at_most is not None else {})
            | ({"below": row.measure.below} if row.measure.below is not None else {}),
            "met": row.verdict(),
        } for row in all_rows],
        "outputs": [{"processors": processors, "benchmark": benchmark.name, "peer": peer, "rounds": rounds}
                    for (processors, benchmark), outputs in results.items() for peer, rounds in outputs.items()],
        "failures": failures,
    }
