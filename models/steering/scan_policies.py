"""The rules for two-theta scans that can be chosen by name."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from phasepilot.models.steering.activation_rule import ActivationRule, ActivationSettings
from phasepilot.models.steering.hypotheses import HypothesisSource
from phasepilot.models.steering.information_rate import InformationRate, InformationRateSettings
from phasepilot.models.steering.policy import Policy
from phasepilot.models.steering.scan import ScanState
from phasepilot.models.steering.step_rules import (
    CoarseScanSettings,
    DoublingScan,
    DoublingSettings,
    FixedScan,
    FixedScanSettings,
    ThresholdScan,
    ThresholdSettings,
)

# The settings of any rule; `policy` says which.
ScanPolicySettings = Annotated[
    InformationRateSettings
    | ActivationSettings
    | CoarseScanSettings
    | DoublingSettings
    | ThresholdSettings
    | FixedScanSettings,
    Field(discriminator="policy"),
]

# Each takes its settings and where hypotheses come from.
POLICIES: dict[str, Callable[[Any, HypothesisSource], Policy[ScanState]]] = {
    "activation": ActivationRule,
    "coarse": FixedScan,
    "doubling": DoublingScan,
    "fixed": FixedScan,
    "information_rate": InformationRate,
    "threshold": ThresholdScan,
}


def build(settings: ScanPolicySettings, source: HypothesisSource) -> Policy[ScanState]:
    """Return the rule that the settings are of."""
    return POLICIES[settings.policy](settings, source)
