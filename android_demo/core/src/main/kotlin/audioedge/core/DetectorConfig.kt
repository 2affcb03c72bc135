package audioedge.core

/**
 * How probabilities become detections: one look every [hopS] seconds; the mean over [windowS] must
 * reach [threshold]; then nothing is reported for [refractoryS]. The values are Python's defaults.
 */
data class DetectorConfig(
    val hopS: Double = 0.1,
    val windowS: Double = 0.3,
    val threshold: Double = 0.6,
    val refractoryS: Double = 0.8,
) {
    init {
        require(0 < hopS && hopS <= windowS) { "hop_s must be > 0 and window_s at least hop_s" }
        require(0 < threshold && threshold < 1) { "threshold must be in (0, 1)" }
        require(refractoryS >= 0) { "refractory_s must be >= 0" }
    }
}
