package audioedge.core

import java.io.File
import java.io.IOException
import java.io.OutputStream
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonObject

/**
 * Hits on the phone's own disk: NAME.wav and NAME.json, as Python's `listen --save-hits` writes them and
 * `python -m training.review QUEUE import` reads them.
 *
 * A file is whole or not there, and one without the other does not count. One thread at a time may use it.
 *
 * @param most How many are kept; beyond, the oldest go.
 */
class HitFolder(private val folder: File, private val most: Int = MOST) {
    /** What is kept, the oldest first: names begin with the time. */
    fun names(): List<String> =
        files().filter { it.extension == "json" && sound(it.nameWithoutExtension).isFile }.map { it.nameWithoutExtension }

    /** Those of them that somebody said were wrong. */
    fun reported(): Set<String> = names().filterTo(mutableSetOf()) { "reported" in facts(it) }

    /**
     * Keeps a hit.
     *
     * @param sha256 Of the model's file.
     * @throws IOException the disk refuses.
     */
    fun save(name: String, hit: Hit, card: ModelCard, sha256: String) {
        write(sound(name), wav(hit.sound, card.sampleRate))
        write(json(name), buildJsonObject {
            put("label", hit.detection.label)
            put("score", hit.detection.score)
            put("time_s", hit.detection.timeS)
            putJsonObject("scores") { card.labels.forEachIndexed { at, label -> put(label, hit.scores[at]) } }
            put("sample_rate", card.sampleRate)
            put("model", card.name)
            put("model_sha256", sha256)
        })
        names().dropLast(most).forEach(::remove)
    }

    /** Notes that a hit was wrong. */
    fun report(name: String) = write(json(name), JsonObject(facts(name) + ("reported" to JsonPrimitive(true))))

    /** Writes all of them into a zip; closes [out]. */
    fun export(out: OutputStream) = ZipOutputStream(out).use { zip ->
        for (file in names().flatMap { listOf(sound(it), json(it)) }) {
            zip.putNextEntry(ZipEntry(file.name))
            file.inputStream().use { it.copyTo(zip) }
        }
    }

    /** Deletes everything. */
    fun clear() = files().forEach(File::delete)

    private fun remove(name: String) = listOf(json(name), sound(name)).forEach(File::delete) // never facts without sound

    private fun facts(name: String) = Json.parseToJsonElement(json(name).readText()).jsonObject

    private fun write(file: File, json: JsonObject) = write(file, json.toString().encodeToByteArray())

    private fun write(file: File, content: ByteArray) {
        val draft = folder.resolve("${file.name}.part")
        try {
            folder.mkdirs()
            draft.writeBytes(content)
            if (!draft.renameTo(file)) throw IOException("${file.name} cannot be written")
        } finally {
            draft.delete()
        }
    }

    private fun files() = folder.listFiles().orEmpty().sortedBy { it.name }

    private fun sound(name: String) = folder.resolve("$name.wav")

    private fun json(name: String) = folder.resolve("$name.json")

    companion object {
        const val MOST = 100
    }
}
