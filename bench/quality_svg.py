# SPDX-License-Identifier: Apache-2.0
"""A line chart as SVG, for the learning curves of docs/QUALITY.md: no library, readable on light and dark."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 340, 56, 150, 40, 44
COLOURS = ["#2f6fde", "#c4501b", "#2a9d5c", "#8a55c7", "#b8860b", "#c2487f", "#4b8fa3", "#7a7a7a"]


def round_step(span):
    """1, 2 or 5 times a power of ten, so that there are four to ten steps."""
    power = 10 ** math.floor(math.log10(span / 4))
    return next(power * factor for factor in (5, 2, 1) if power * factor <= span / 4)


def spread(wanted, gap, low, high):
    """Label heights at least `gap` apart, near those wanted."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    out, floor = [0.0] * len(wanted), low
    for at in order:
        out[at] = floor = max(wanted[at], floor)
        floor += gap
    ceiling = high
    for at in reversed(order):
        out[at] = min(out[at], ceiling)
        ceiling = out[at] - gap
    return out


def chart(title, across, up, lines):
    """lines: [(name, [(x, y), ...])], the first one drawn thick."""
    xs = [x for _, points in lines for x, _ in points]
    top = max(y for _, points in lines for _, y in points)
    step = round_step(top)
    y_max, x_max = step * (int(top / step) + 1), max(xs)

    def px(x):
        return LEFT + (WIDTH - LEFT - RIGHT) * x / x_max

    def py(y):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / y_max

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
           f'height="{HEIGHT}" font-family="sans-serif" font-size="12" fill="#767676" role="img">',
           f'<title>{escape(title)}</title>',
           f'<text x="{LEFT}" y="20" font-size="14" font-weight="bold">{escape(title)}</text>']
    for n in range(int(round(y_max / step)) + 1):
        y = n * step
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py(y):.1f}" y2="{py(y):.1f}" '
                   f'stroke="#8884" stroke-width="1"/>')
        out.append(f'<text x="{LEFT - 8}" y="{py(y) + 4:.1f}" text-anchor="end">{y:.3g}</text>')
    x_step = round_step(x_max)
    for n in range(int(x_max / x_step) + 1):
        x = n * x_step
        out.append(f'<text x="{px(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:,.0f}</text>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
               f'{escape(across)}</text>')
    out.append(f'<text x="{LEFT - 44}" y="{TOP - 6}">{escape(up)}</text>')
    labels = spread([py(points[-1][1]) for _, points in lines], 14, TOP, HEIGHT - BOTTOM)
    for at, (name, points) in reversed(list(enumerate(lines))):
        colour = COLOURS[at % len(COLOURS)]
        path = " ".join(f"{px(x):.1f},{py(y):.1f}" for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                   f'stroke-width="{2.5 if at == 0 else 1.3}" stroke-linejoin="round"/>')
        out.append(f'<text x="{WIDTH - RIGHT + 8}" y="{labels[at] + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    return "\n".join(out) + "\n</svg>\n"
