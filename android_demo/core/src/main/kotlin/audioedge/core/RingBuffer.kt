package audioedge.core

/** The newest [size] samples of a stream; those before its beginning are silence. */
class RingBuffer(private val size: Int) {
    private val kept = ShortArray(size)
    private var end = 0 // where the next sample goes, and the oldest one lies

    /** Takes the next samples, any number of them. */
    fun push(samples: ShortArray) {
        for (at in maxOf(0, samples.size - size) until samples.size) {
            kept[end] = samples[at]
            end = (end + 1) % size
        }
    }

    /** What is kept, in order of time, in a fresh array. */
    fun newest(): ShortArray = kept.copyOfRange(end, size) + kept.copyOfRange(0, end)

    /** Forgets everything. */
    fun clear() = kept.fill(0)
}
