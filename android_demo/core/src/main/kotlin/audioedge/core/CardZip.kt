package audioedge.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.CRC32

internal const val CARD_FILE = "model_card.json"
private const val LABELS_FILE = "labels.txt"

/**
 * The zip behind a flatbuffer: `labels.txt` and `model_card.json`, not compressed, of 1980-01-01.
 *
 * As `stored_zip` in `audio_edge/files.py` writes it (PKWARE APPNOTE 6.3.3, 4.3.7, 4.3.12, 4.3.16).
 *
 * @param start Where in the file it begins.
 */
internal class CardZip(val start: Int, val card: ByteArray, private val labels: ByteArray) {
    /** The whole zip, ready to be compared. */
    fun bytes(): ByteBuffer {
        val files = listOf(LABELS_FILE to labels, CARD_FILE to card)
        val size = files.sumOf { (name, content) -> LOCAL + CENTRAL + 2 * name.length + content.size } + END
        val zip = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN)
        val places = files.map { (name, content) ->
            val place = start + zip.position()
            zip.putInt(LOCAL_MARK).common(name, content).put(name.encodeToByteArray()).put(content)
            place
        }
        val central = zip.position()
        for ((file, place) in files.zip(places)) {
            zip.putInt(CENTRAL_MARK).putShort(UNIX).common(file.first, file.second)
            zip.putShort(0).putShort(0).putShort(0).putInt(REGULAR_FILE).putInt(place)
            zip.put(file.first.encodeToByteArray())
        }
        val length = zip.position() - central
        zip.putInt(END_MARK).putShort(0).putShort(0).putShort(files.size.toShort()).putShort(files.size.toShort())
        zip.putInt(length).putInt(start + central).putShort(0)
        return zip.between(0, zip.position())
    }

    private fun ByteBuffer.common(name: String, content: ByteArray): ByteBuffer {
        putShort(VERSION).putShort(0).putShort(0).putShort(0).putShort(FIRST_DAY)
        putInt(CRC32().apply { update(content) }.value.toInt()).putInt(content.size).putInt(content.size)
        return putShort(name.length.toShort()).putShort(0)
    }

    companion object {
        private const val LOCAL_MARK = 0x04034b50
        private const val CENTRAL_MARK = 0x02014b50
        private const val END_MARK = 0x06054b50
        private const val LOCAL = 30 // bytes of the headers without the name
        private const val CENTRAL = 46
        private const val END = 22
        private const val VERSION: Short = 20
        private const val UNIX: Short = (3 shl 8 or 20).toShort()
        private const val REGULAR_FILE = 33188 shl 16 // rw-r--r--
        private const val FIRST_DAY: Short = (1 shl 5 or 1).toShort()

        /**
         * Finds the zip at the end of a whole file, in little-endian order.
         *
         * @throws RuntimeException there is none, or it leads out of the file.
         */
        fun read(file: ByteBuffer): CardZip {
            val end = file.limit() - END
            require(file.getInt(end) == END_MARK) { "the zip's end is missing" }
            val first = file.getInt(end + 16) // of the central entries: the labels, then the card
            val second = first + CENTRAL + file.getShort(first + 28)
            require(file.text(second + CENTRAL, CARD_FILE.length) == CARD_FILE) { "$CARD_FILE is missing" }
            val local = file.getInt(second + 42)
            val content = local + LOCAL + CARD_FILE.length
            val card = ByteArray(file.getInt(second + 24).also { require(it in 0..end - content) { "cut off" } })
            file.duplicate().between(content, end).get(card)
            val start = file.getInt(first + 42).also { require(it in 0..local) { "it begins nowhere" } }
            return CardZip(start, card, ByteArray(0))
        }
    }
}

/** [size] bytes from [start] as text, one character a byte. */
internal fun ByteBuffer.text(start: Int, size: Int): String =
    String(CharArray(size) { Char(get(start + it).toInt() and 0xff) })
