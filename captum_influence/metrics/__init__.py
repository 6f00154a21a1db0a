"""How far to trust an explanation."""

from captum_influence.metrics.captum_adapter import ForCaptumMetrics, for_captum_metrics

__all__ = ["ForCaptumMetrics", "for_captum_metrics"]
