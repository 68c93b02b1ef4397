"""A network's ONNX file, run by ONNX Runtime: logits, embedding and attribution."""

from dataclasses import dataclass

import numpy as np
import onnxruntime
from scipy.special import log_softmax

from phasepilot.models.arrays import Float32Array
from phasepilot.models.errors import WeightsError

# What the graph calls its inputs and outputs.
INPUT, CLASS_WEIGHTS = "pattern", "class_weights"
LOGITS, EMBEDDING, ATTRIBUTION = "space_group_logits", "embedding", "attribution"
SAID, NOVELTY_LOGIT = "said", "novelty_logit"
# What is less probable than a millionth is all the same.
_LEAST_LOG_PROBABILITY = -14.0

# A row of zeros asks for the class of the largest logit: known only once the network has run.
PREDICTED_CLASS = np.zeros((1, 230), dtype=np.float32)
PREDICTED_CLASS.setflags(write=False)


@dataclass(frozen=True, slots=True)
class NetworkOutputs:
    """What a network says of a batch of patterns.

    Attributes
    ----------
    space_group_logits : ndarray, shape (n_patterns, 230)
    embedding : ndarray, shape (n_patterns, n_embedding)
        What the last layer sees.
    attribution : ndarray, shape (n_patterns, n_channels, n_bins)
        What each value of the input adds to the weighted sum of logits; no rows unless asked for.
    """

    space_group_logits: Float32Array
    embedding: Float32Array
    attribution: Float32Array

    @property
    def said(self) -> Float32Array:
        """Embedding and log probabilities, shape (n_patterns, n_embedding + 230)."""
        log_probabilities = log_softmax(self.space_group_logits, axis=1)
        clipped = np.maximum(log_probabilities, np.float32(_LEAST_LOG_PROBABILITY))
        return np.concatenate([self.embedding, clipped], axis=1)


class NetworkSession:
    """A network of `write_network`, ready to run.

    Parameters
    ----------
    content : bytes
        The ONNX file.
    n_threads : int
        One thread makes results independent of how many cores happen to be free.

    Raises
    ------
    WeightsError
        If ONNX Runtime cannot run the file, or it lacks one of the outputs.
    """

    def __init__(self, content: bytes, *, n_threads: int = 1) -> None:
        self._session = _opened(content, (LOGITS, EMBEDDING, ATTRIBUTION), n_threads)

    def run(
        self, inputs: Float32Array, class_weights: Float32Array | None = None
    ) -> NetworkOutputs:
        """Return what the network says of a batch.

        Parameters
        ----------
        inputs : ndarray, shape (n_patterns, n_channels, n_bins)
        class_weights : ndarray, shape (1 or n_patterns, 230), optional
            Asks for the attribution of the sum of logits times these weights, a row for each
            pattern or one for all; a row of zeros, `PREDICTED_CLASS`, stands for weight 1 at the
            largest logit. Without it nothing is attributed, which takes half the time.
        """
        feed = {INPUT: inputs}
        if class_weights is not None:
            feed[CLASS_WEIGHTS] = class_weights
        return NetworkOutputs(*self._session.run([LOGITS, EMBEDDING, ATTRIBUTION], feed))


class NoveltySession:
    """A network of `write_novelty_net`, ready to run; parameters and errors of `NetworkSession`."""

    def __init__(self, content: bytes, *, n_threads: int = 1) -> None:
        self._session = _opened(content, (NOVELTY_LOGIT,), n_threads)

    def logits(self, inputs: Float32Array, outputs: NetworkOutputs) -> Float32Array:
        """Return the logarithm of odds that a pattern is not usual, shape (n_patterns,).

        Parameters
        ----------
        inputs : ndarray, shape (n_patterns, n_channels, n_bins)
        outputs : NetworkOutputs
            What the network beside it says of them.
        """
        (logits,) = self._session.run([NOVELTY_LOGIT], {INPUT: inputs, SAID: outputs.said})
        return np.asarray(logits[:, 0])


def _opened(
    content: bytes, needed: tuple[str, ...], n_threads: int
) -> onnxruntime.InferenceSession:
    """Return a session of an ONNX file that gives what is needed."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # One pattern takes as long as its weights take to be read: rearranged for batches, those of
    # dense layers are read at half the rate by the attribution's products with a vector.
    options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class per status, without a common base
        raise WeightsError(
            f"a network must be an ONNX file that ONNX Runtime {onnxruntime.__version__} runs,"
            f" but it says: {error}; reinstall phasepilot."
        ) from error
    outputs = sorted(output.name for output in session.get_outputs())
    if not set(needed) <= set(outputs):
        raise WeightsError(
            f"a network must give {', '.join(needed)}, but this one gives {', '.join(outputs)};"
            " write it again with this version of phasepilot."
        )
    return session
