"""Raw audio in, probabilities out, one `.tflite` file: small audio classifiers for small devices.

Names are loaded on first use. `Interpreter`, `Detector`, `Card` and `read` need no TensorFlow.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "audio": ["read"],
        "card": ["Card", "read_card"],
        "config": ["Config", "load_config"],
        "detector": ["Detection", "Detector"],
        "evaluation": ["evaluate"],
        "export": ["convert"],
        "frontend": ["LogMel"],
        "interpreter": ["Interpreter"],
        "models": ["MODELS"],
        "parity": ["compare"],
        "stream_batch": ["StreamBatch"],
        "streaming_interpreter": ["StreamingInterpreter"],
    },
)
