"""Pictures of token worlds: the tape, one cell for each position, coloured by who wrote it."""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rl_jax.envs.tokens.task import PAD, character

CELL, COLUMNS = 36, 12  # pixels of a cell's side, cells of a row
PROMPT, POLICY, ENVIRONMENT = (125, 125, 125), (0, 0, 0), (0, 114, 178)
PAPER, UNREAD, LINE, SEEN = (255, 255, 255), (236, 236, 232), (190, 190, 190), (213, 94, 0)
NAMES = (("prompt", PROMPT), ("policy", POLICY), ("environment", ENVIRONMENT))


def tape(env: Any, params: Any, state: Any) -> np.ndarray:
    """The prompt grey, the policy's tokens black, the environment's blue; a frame around the token that the policy sees.

    Cells that are not read yet are shaded. Under the tape stands what the colours mean.
    """
    tokens, own, time = np.asarray(state.tokens), np.asarray(state.own), int(state.time)
    rows = -(-len(tokens) // COLUMNS)
    columns = min(len(tokens), COLUMNS)
    picture = Image.new("RGB", (COLUMNS * CELL + 1, (rows + 1) * CELL + 1), PAPER)
    pen, font, small = ImageDraw.Draw(picture), ImageFont.load_default(22), ImageFont.load_default(14)
    left = (COLUMNS - columns) * CELL // 2
    boxes = [(left + index % COLUMNS * CELL, index // COLUMNS * CELL) for index in range(len(tokens))]
    for position, (x, y) in enumerate(boxes):
        pen.rectangle((x, y, x + CELL, y + CELL), fill=PAPER if position <= time else UNREAD, outline=LINE)
        if tokens[position] != PAD:
            colour = POLICY if own[position] else PROMPT if position < env.task.prompt_length else ENVIRONMENT
            middle = x + CELL // 2, y + CELL // 2
            pen.text(middle, character(int(tokens[position])).strip("{}"), fill=colour, font=font, anchor="mm")
    x, y = boxes[time]
    pen.rectangle((x, y, x + CELL, y + CELL), outline=SEEN, width=3)
    x = 8
    for name, colour in NAMES:
        pen.text((x, rows * CELL + CELL // 2), name, fill=colour, font=small, anchor="lm")
        x += 16 + round(pen.textlength(name, font=small))
    return np.asarray(picture)
