"""The service: recordings and live sound in over HTTP, detections and probabilities out.

The process that speaks HTTP never touches sound or a model file: worker processes decode, load and
run, and may die. `app.create` makes the application, `python -m audio_edge.serving` runs it.
"""
