"""Where the figures come from: the machine and the versions that every result is kept with."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import captum
import torch


def machine(device: str = "cpu") -> dict[str, str | int]:
    """Return the processor or GPU, the threads, the versions and the day."""
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "captum": captum.__version__,
        "date": date.today().isoformat(),
    }


def keep(path: Path | None, found: Mapping[str, Any], device: str = "cpu") -> None:
    """Write what was found as JSON, beside the machine; None: nowhere."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps({"machine": machine(device), **found}, indent=1)
        path.write_text(f"{content}\n", encoding="utf-8")


def sentence(where: Mapping[str, Any], command: str) -> str:
    """Say in Markdown where figures come from."""
    threads = f"{where['threads']} thread" + ("s" if where["threads"] != 1 else "")
    return (
        f"*`{command}`, {where['date']}: {where['device']}, {threads}, "
        f"torch {where['torch']}, Captum {where['captum']}, Python {where['python']}.*"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
