"""The processes that train one network together, one a GPU, and what each computes with."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from phasepilot.models.errors import TrainingError

# The first process may compute stick lists while the others wait.
_PATIENCE = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Processes:
    """Those that train together, and which one this is.

    Attributes
    ----------
    rank, n_processes : int
        Which one of how many. The first saves, validates and reports.
    local_rank : int
        Which one on this machine: it takes the GPU of that number.
    """

    rank: int = 0
    n_processes: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the process that saves and reports."""
        return self.rank == 0

    def device(self, wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
        """Return the device of this process.

        Raises
        ------
        TrainingError
            If a GPU is wanted that torch does not see.
        """
        n_gpus = torch.cuda.device_count()
        if wanted == "cpu" or (wanted == "auto" and not n_gpus):
            return torch.device("cpu")
        if self.local_rank >= n_gpus:
            raise TrainingError(
                f"every process must have a GPU of its own, but process {self.local_rank} of this"
                f" machine finds {n_gpus}; start fewer processes, or set device to cpu."
            )
        return torch.device("cuda", self.local_rank)

    def parts(self, n_parts: int) -> range:
        """Return which of so many parts of a batch this process draws.

        Raises
        ------
        TrainingError
            If the parts cannot be shared evenly.

        Examples
        --------
        >>> Processes(rank=1, n_processes=2).parts(6)
        range(3, 6)
        """
        share, rest = divmod(n_parts, self.n_processes)
        if rest:
            raise TrainingError(
                f"batch_parts must be a multiple of the number of processes, but {n_parts} is not"
                f" one of {self.n_processes}; change batch_parts, or start another number."
            )
        return range(self.rank * share, (self.rank + 1) * share)

    def shared(self, network: nn.Module) -> nn.Module:
        """Return the network with gradients that are averaged over the processes."""
        return network if self.n_processes == 1 else DistributedDataParallel(network)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes; each gets the same."""
        if self.n_processes > 1:
            torch.distributed.all_reduce(values)
            values /= self.n_processes
        return values

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.n_processes > 1:
            torch.distributed.barrier()


@contextmanager
def joined_processes(
    local_rank: int, device: Literal["auto", "cpu", "cuda"]
) -> Iterator[Processes]:
    """Join the processes that torchrun has started, and leave them at the end.

    Parameters
    ----------
    local_rank : int
        What torchrun says in LOCAL_RANK.
    device
        As in the configuration: GPUs talk by NCCL, processors by Gloo.
    """
    place = Processes(local_rank=local_rank).device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    torch.distributed.init_process_group(
        "nccl" if place.type == "cuda" else "gloo", timeout=_PATIENCE
    )
    try:
        yield Processes(
            torch.distributed.get_rank(), torch.distributed.get_world_size(), local_rank
        )
    finally:
        torch.distributed.destroy_process_group()


def autocast_type(
    precision: Literal["auto", "float32", "bfloat16"], device: torch.device
) -> torch.dtype | None:
    """Return the type that layers compute in, None for that of their weights.

    bfloat16 has the range of float32, so that gradients need no scaling.
    """
    if precision == "auto":
        # Processors without such instructions emulate them, at a fraction of the speed.
        is_fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bfloat16()
        return torch.bfloat16 if is_fast else None
    return torch.bfloat16 if precision == "bfloat16" else None


def _cpu_has_bfloat16() -> bool:
    # Older torch cannot tell.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
