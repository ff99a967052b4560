"""The grid worlds' rules once more, tile by tile in NumPy, and a breadth-first search on them."""

from collections import deque

import numpy as np

FLOOR, WALL, OPEN, CLOSED, LOCKED, KEY, GOAL = range(7)
LEFT, RIGHT, FORWARD, USE, STAY = range(5)
STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # east, south, west, north


class Reference:
    """A world that changes in place."""

    def __init__(self, tiles, position, direction, carried=0):
        self.tiles = np.array(tiles)
        self.position, self.direction, self.carried = tuple(int(x) for x in position), int(direction), int(carried)

    def ahead(self):
        return tuple(a + b for a, b in zip(self.position, STEPS[self.direction], strict=True))

    def act(self, action):
        ahead = self.ahead()
        tile = self.tiles[ahead]
        if action == LEFT:
            self.direction = (self.direction + 3) % 4
        elif action == RIGHT:
            self.direction = (self.direction + 1) % 4
        elif action == FORWARD and tile in (FLOOR, OPEN, GOAL):
            self.position = ahead
        elif action == USE and tile == KEY:
            self.tiles[ahead], self.carried = FLOOR, self.carried + 1
        elif action == USE and tile == LOCKED and self.carried:
            self.tiles[ahead], self.carried = OPEN, self.carried - 1
        elif action == USE and tile in (OPEN, CLOSED):
            self.tiles[ahead] = CLOSED if tile == OPEN else OPEN

    def view(self, size):
        planes = np.zeros((size, size, 11), bool)
        forward, right = np.array(STEPS[self.direction]), np.array(STEPS[(self.direction + 1) % 4])
        for row in range(size):
            for column in range(size):
                place = np.array(self.position) + forward * (size - 1 - row) + right * (column - size // 2)
                inside = all(0 <= x < n for x, n in zip(place, self.tiles.shape, strict=True))
                tile = self.tiles[tuple(place)] if inside else WALL
                if tile != FLOOR:
                    planes[row, column, tile - 1] = True
        planes[..., 6] = self.carried > 0
        planes[..., 7 + self.direction] = True
        return planes


def shortest(tiles, position, direction):
    """The fewest actions that lead to the goal, as a list; ``None`` if none do. Doors are never closed again."""
    tiles = np.asarray(tiles)
    start = (tuple(int(x) for x in position), int(direction), 0, frozenset())
    before = {start: None}
    queue = deque([start])
    while queue:
        now = queue.popleft()
        (row, column), facing, keys, used = now
        if tiles[row, column] == GOAL:
            actions = []
            while before[now] is not None:
                now, action = before[now]
                actions.append(action)
            return actions[::-1]
        ahead = (row + STEPS[facing][0], column + STEPS[facing][1])
        tile = tiles[ahead]
        moves = [(LEFT, ((row, column), (facing + 3) % 4, keys, used)), (RIGHT, ((row, column), (facing + 1) % 4, keys, used))]
        if tile in (FLOOR, GOAL) or ahead in used:
            moves.append((FORWARD, (ahead, facing, keys, used)))
        elif tile in (KEY, CLOSED) or (tile == LOCKED and keys):
            change = {KEY: 1, CLOSED: 0, LOCKED: -1}[int(tile)]
            moves.append((USE, ((row, column), facing, keys + change, used | {ahead})))
        for action, then in moves:
            if then not in before:
                before[then] = (now, action)
                queue.append(then)
    return None


def solvable(tiles, position):
    """Whether the goal can be reached, by flooding: closed doors let through, each key opens one locked door."""
    tiles = np.array(tiles)
    keys = 0
    while True:
        reached, edge = {tuple(int(x) for x in position)}, [tuple(int(x) for x in position)]
        locked = None
        while edge:
            row, column = edge.pop()
            for step in STEPS:
                there = (row + step[0], column + step[1])
                tile = tiles[there]
                if tile == KEY:
                    tiles[there], keys = FLOOR, keys + 1
                if tile == LOCKED:
                    locked = there
                elif tile != WALL and there not in reached:
                    reached.add(there)
                    edge.append(there)
        if any(tiles[place] == GOAL for place in reached):
            return True
        if locked is None or keys == 0:
            return False
        tiles[locked], keys = OPEN, keys - 1
