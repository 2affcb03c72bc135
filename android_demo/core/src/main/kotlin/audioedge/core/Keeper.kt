package audioedge.core

import java.io.Closeable
import java.io.OutputStream
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch

/**
 * What the screen shows of the hits that are kept.
 *
 * @property on The user agreed that they are.
 * @property names What is kept, the oldest first.
 * @property reported Those that were wrong, as the user says.
 * @property message One sentence about what went wrong last, or what was done.
 */
data class KeptState(
    val on: Boolean = false,
    val names: List<String> = emptyList(),
    val reported: Set<String> = emptySet(),
    val message: String? = null,
)

/**
 * Keeps what was heard, if the user agrees, and hands it out. Any thread may call it, and no call waits.
 *
 * @param agreed What the user said before.
 * @param remember Called with what the user says now.
 * @param disk One thread, for all files.
 * @param stamp Date and time, as names begin.
 */
class Keeper(
    private val hits: HitFolder,
    agreed: Boolean,
    private val remember: (Boolean) -> Unit,
    disk: CoroutineDispatcher,
    private val stamp: () -> String,
) : Closeable {
    private val shown = MutableStateFlow(KeptState(agreed))
    private val scope = CoroutineScope(SupervisorJob() + disk)
    private val given = mutableSetOf<String>() // names, some of them not written yet

    /** What the screen shows. */
    val state: StateFlow<KeptState> = shown.asStateFlow()

    init {
        work("cannot be read") { null }
    }

    /** Begins or ends keeping; what was kept stays. */
    fun agree(on: Boolean) {
        remember(on)
        shown.update { it.copy(on = on, message = null) }
    }

    /** Keeps a hit, if the user agreed: the name that it will have. */
    fun keep(hit: Hit, card: ModelCard, sha256: () -> String): String? {
        if (!shown.value.on) return null
        val name = free("${stamp()}_${hit.detection.label}")
        work("cannot be kept") {
            hits.save(name, hit, card, sha256())
            null
        }
        return name
    }

    /** Notes that a hit was wrong. */
    fun report(name: String) = work("cannot be marked") {
        hits.report(name)
        null
    }

    /** Writes all into a zip. */
    fun export(open: () -> OutputStream) = work("cannot be exported") {
        hits.export(open())
        "exported: ${hits.names().size}"
    }

    /** Deletes all. */
    fun clear() = work("cannot be deleted") {
        hits.clear()
        null
    }

    /** Shows a sentence. */
    fun tell(message: String) = shown.update { it.copy(message = message) }

    /** Ends everything; the keeper is of no more use. */
    override fun close() = scope.cancel()

    /** Does it behind all that is waiting; what it returns is shown, or in a sentence what [failed]. */
    private fun work(failed: String, action: () -> String?) {
        scope.launch {
            val message = attempt(failed, action)
            val names = hits.names()
            val reported = runCatching { hits.reported() }.getOrDefault(emptySet())
            shown.update { it.copy(names = names, reported = reported, message = message) }
        }
    }

    private fun attempt(failed: String, action: () -> String?): String? =
        try {
            action()
        } catch (error: Exception) { // a full disk, a file that went away, a document of another app
            "what was heard $failed (${firstLine(error)}); free space or try again"
        }

    @Synchronized
    private fun free(wanted: String): String {
        val stem = wanted.map { if (it.isLetterOrDigit() || it in "-_") it else '-' }.joinToString("")
        val names = generateSequence(1, Int::inc).map { if (it == 1) stem else "${stem}_$it" }
        return names.first { it !in shown.value.names && given.add(it) }
    }
}
