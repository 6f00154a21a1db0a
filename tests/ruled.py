"""Rules of relevance, by names."""

from captum_influence.methods.lrp.rules import Composite

COMPOSITES = {
    "epsilon": Composite(),
    "gamma": Composite.epsilon_gamma(),
    "alpha1_beta0": Composite.alpha1_beta0(),
    "bounded": Composite.epsilon_gamma(0.5, bounds=(0.0, 1.0)),
}
