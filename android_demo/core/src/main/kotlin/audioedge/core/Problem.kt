package audioedge.core

/** What the user has to know, in one sentence: what is wrong and the remedy. */
sealed class Problem(val sentence: String, cause: Throwable? = null) : Exception(sentence, cause)

/** A model file that cannot be used. */
class ModelProblem(sentence: String, cause: Throwable? = null) : Problem(sentence, cause)

/** A microphone or a recording that cannot be read. */
class AudioProblem(sentence: String, cause: Throwable? = null) : Problem(sentence, cause)

/** The first line of what another's code says went wrong. */
internal fun firstLine(error: Throwable): String =
    error.message?.lineSequence()?.firstOrNull { it.isNotBlank() }?.trim() ?: error.javaClass.simpleName
