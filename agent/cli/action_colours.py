"""In which colour an action is shown: those that change what is measured stand out."""

from phasepilot.models.suggestion import Action

ACTION_COLOURS = {
    Action.REFINE: "yellow",
    Action.COARSEN: "cyan",
    Action.STOP: "bold red",
    Action.END: "bold red",
}
