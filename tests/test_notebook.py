"""The notebooks run from their first cell to their last, with few steps."""

import os
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
#: name -> pictures that it draws
PICTURES = {"quickstart": 3, "replay": 5, "meta_rl": 5, "grpo": 2, "offline": 2, "diffusion_policy": 2}

nbformat = pytest.importorskip("nbformat")


def test_every_notebook_is_run():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_notebooks_keep_no_outputs(name):
    cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4).cells
    assert not [cell for cell in cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_notebooks_run(name, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    from jupyter_client.manager import KernelManager

    monkeypatch.setenv("RL_JAX_SMALL", "1")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    # This interpreter's own kernel, whatever kernels are registered on the machine.
    manager = KernelManager()
    manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", 4)
    client = nbclient.NotebookClient(notebook, km=manager, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    try:
        client.execute(env=dict(os.environ))
    finally:
        manager.shutdown_kernel(now=True)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == PICTURES[name]
    if name != "quickstart":
        return
    episode = [output for output in outputs if "image/gif" in output.get("data", {})]
    assert episode or "needs the extra" in str(outputs)
