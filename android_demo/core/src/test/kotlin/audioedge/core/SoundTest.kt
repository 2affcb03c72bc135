package audioedge.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.PI
import kotlin.math.sin
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotSame
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** PCM16, its level, WAV files and the ring. */
class SoundTest {
    @Test
    fun `PCM16 is divided by 32768`() {
        val floats = floatsOf(tensorOf(shortArrayOf(Short.MIN_VALUE, -1, 0, 1, Short.MAX_VALUE)))
        assertArrayEquals(floatArrayOf(-1f, -1 / 32768f, 0f, 1 / 32768f, 32767 / 32768f), floats)
    }

    @Test
    fun `a tensor is direct and in native order`() {
        val tensor = tensorOf(shortArrayOf(1))
        assertTrue(tensor.isDirect && tensor.order() == ByteOrder.nativeOrder() && tensor.position() == 0)
    }

    @Test
    fun `level of a sine is 3 dB below its peak`() {
        val sine = ShortArray(1000) { (16384 * sin(2 * PI * it / 100)).toInt().toShort() }
        assertEquals(-9.03, levelDb(sine), 0.01) // half of full scale, and the mean of a sine's square
        assertEquals(0.0, levelDb(constant(-32768, 7)), 1e-9)
    }

    @Test
    fun `level of silence is the floor and never less`() {
        assertEquals(FLOOR_DB, levelDb(ShortArray(10)))
        assertEquals(FLOOR_DB, levelDb(ShortArray(0)))
        assertEquals(FLOOR_DB, levelDb(ShortArray(100000).also { it[0] = 1 }))
    }

    @Test
    fun `ring keeps the newest samples, whatever the pieces`() {
        for (size in listOf(1, 3, 7, 20)) {
            val ring = RingBuffer(7)
            val all = ShortArray(50) { it.toShort() }
            all.hops(size).forEach(ring::push)
            assertArrayEquals(all.copyOfRange(43, 50), ring.newest())
        }
    }

    @Test
    fun `ring begins with silence, and again when cleared`() {
        val ring = RingBuffer(4)
        ring.push(shortArrayOf(1, 2, 3, 4, 5))
        ring.clear()
        ring.push(shortArrayOf(6))
        assertArrayEquals(shortArrayOf(0, 0, 0, 6), ring.newest())
    }

    @Test
    fun `ring hands out fresh arrays`() {
        val ring = RingBuffer(2)
        ring.push(shortArrayOf(1, 2))
        ring.newest().fill(9)
        assertArrayEquals(shortArrayOf(1, 2), ring.newest())
    }

    @Test
    fun `WAV is read packet by packet in fresh arrays, the last one shorter`() {
        val source = WavSource("a.wav", wav(shortArrayOf(1, 2, 3, 4, 5)), packetSamples = 2)
        val packets = generateSequence(source::read).toList()
        assertEquals(listOf(listOf<Short>(1, 2), listOf<Short>(3, 4), listOf<Short>(5)), packets.map { it.toList() })
        assertNotSame(packets[0], packets[1])
        assertNull(source.read())
        assertEquals(8000, source.sampleRate)
        source.close()
    }

    @Test
    fun `chunks of a WAV that are not sound are passed over, odd ones with their padding`() {
        val extra = "LIST".encodeToByteArray() + byteArrayOf(3, 0, 0, 0, 9, 9, 9, 0)
        val content = wav(shortArrayOf(7))
        val padded = content.copyOfRange(0, 12) + extra + content.copyOfRange(12, 36) + extra + content.copyOfRange(36, 46) + extra
        assertArrayEquals(shortArrayOf(7), WavSource("a.wav", padded).samples())
    }

    @Test
    fun `a bad WAV is one sentence`() {
        val good = wav(shortArrayOf(1, 2))
        fun with(place: Int, value: Int) = good.copyOf().also { it[place] = value.toByte() }
        val bad = mapOf(
            ByteArray(0) to "is no WAV file",
            good.copyOf().also { it[0] = 0 } to "is no WAV file",
            with(8, 0) to "is no WAV file",
            with(12, 0) to "has no format",
            with(20, 3) to "is not mono PCM16", // float
            with(22, 2) to "is not mono PCM16",
            with(34, 24) to "is not mono PCM16",
            with(24, 0).also { it[25] = 0 } to "says 0 Hz",
            with(36, 0) to "has no sound",
            good.copyOf(good.size - 1) to "is cut off",
            with(43, -1) to "is cut off",
        )
        for ((content, reason) in bad) {
            val problem = assertThrows<AudioProblem> { WavSource("a.wav", content) }
            assertEquals("a.wav: $reason; write it as a WAV file of mono PCM16", problem.sentence)
        }
    }

    private fun wav(samples: ShortArray): ByteArray {
        val bytes = ByteBuffer.allocate(44 + 2 * samples.size).order(ByteOrder.LITTLE_ENDIAN)
        bytes.put("RIFF".encodeToByteArray()).putInt(36 + 2 * samples.size).put("WAVEfmt ".encodeToByteArray())
        bytes.putInt(16).putShort(1).putShort(1).putInt(8000).putInt(16000).putShort(2).putShort(16)
        bytes.put("data".encodeToByteArray()).putInt(2 * samples.size)
        samples.forEach(bytes::putShort)
        return bytes.array()
    }
}
