package audioedge.core

import kotlinx.coroutines.channels.Channel

/** Samples of a stream, and where in it the first of them lies. */
class Packet(val start: Long, val samples: ShortArray)

/**
 * Packets on their way from the microphone's thread to inference.
 *
 * Where inference is slower than audio the oldest packets are dropped and counted, so that what is
 * heard is never later than the queue is long. Who takes packets sees a gap by their [Packet.start].
 *
 * @param capacity Samples that may wait; the newest packet waits whatever its length.
 */
class PacketQueue(private val capacity: Long) {
    private val waiting = ArrayDeque<Packet>()
    private val changed = Channel<Unit>(Channel.CONFLATED)
    private var offered = 0L
    private var held = 0
    private var ended = false

    /** Samples dropped so far. */
    var dropped = 0L
        @Synchronized get
        private set

    /** Adds the next samples; never waits. */
    fun offer(samples: ShortArray) {
        if (samples.isNotEmpty()) add(samples)
        changed.trySend(Unit)
    }

    /** Says that no more samples come. */
    fun end() {
        synchronized(this) { ended = true }
        changed.trySend(Unit)
    }

    /** Waits for the oldest packet; null once all are taken and no more come. */
    suspend fun take(): Packet? {
        while (true) {
            poll()?.let { return it }
            if (isOver()) return null
            changed.receive()
        }
    }

    @Synchronized
    private fun add(samples: ShortArray) {
        waiting.addLast(Packet(offered, samples))
        offered += samples.size
        held += samples.size
        while (held > capacity && waiting.size > 1) dropped += remove().samples.size
    }

    @Synchronized
    private fun poll(): Packet? = if (waiting.isEmpty()) null else remove()

    @Synchronized
    private fun isOver(): Boolean = ended && waiting.isEmpty()

    private fun remove(): Packet = waiting.removeFirst().also { held -= it.samples.size }
}
