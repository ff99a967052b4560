#!/usr/bin/env bash
# minari 0.5.4: a recording of dictionary observations with a slash in a name is lost when it is to be written.
#
# Expected: DataCollector refuses such a space when it wraps the environment, or writes and reads it back.
# Seen:     it records every episode without a word; create_dataset then raises KeyError: 'arm', for HDF5 has made a group of
#           'arm/joint', and nothing is created.
# Mend:     rename such parts before recording, with a gymnasium observation wrapper.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "minari[hdf5,create]==0.5.4" pillow
cd "$folder"
MINARI_DATASETS_PATH="$folder/data" "$folder/venv/bin/python" -W ignore - <<'PY'
import gymnasium as gym
import minari


class Arm(gym.Env):
    action_space = gym.spaces.Discrete(2)

    def __init__(self, name):
        self.observation_space = gym.spaces.Dict({name: gym.spaces.Box(-1.0, 1.0, (2,))})

    def reset(self, seed=None, options=None):
        self.time = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.time += 1
        return self.observation_space.sample(), 1.0, self.time == 3, False, {}


seen = []
for name in ("arm_joint", "arm/joint"):
    recorder = minari.DataCollector(Arm(name))
    recorder.reset(seed=0)
    for _ in range(3):
        recorder.step(0)
    try:
        print(f"{name}: {recorder.create_dataset('demo/arm-v0', algorithm_name='random').total_steps} steps")
        minari.delete_dataset("demo/arm-v0")
        seen.append("written")
    except KeyError as error:
        print(f"{name}: KeyError {error}")
        seen.append("KeyError")
assert seen == ["written", "KeyError"], f"this has changed: {seen}"
PY
