package audioedge.core

import kotlin.math.log10
import kotlin.math.max

/** dB of full scale, where digital silence lies too. */
const val FLOOR_DB = -90.0

/** RMS of PCM16 [samples] in dB of full scale, at least [FLOOR_DB]. */
fun levelDb(samples: ShortArray): Double {
    var sum = 0.0
    for (sample in samples) sum += asFloat(sample).toDouble().let { it * it }
    return if (sum > 0) max(FLOOR_DB, 10 * log10(sum / samples.size)) else FLOOR_DB
}
