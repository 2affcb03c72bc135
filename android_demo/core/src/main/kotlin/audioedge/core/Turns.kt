package audioedge.core

import java.io.Closeable
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock

/** One piece of work at a time, on one thread: the next begins once the one before has closed what it held. */
internal class Turns(dispatcher: CoroutineDispatcher) : Closeable {
    private val scope = CoroutineScope(SupervisorJob() + dispatcher)
    private val turn = Mutex()
    private var current: Job? = null

    /** Ends the work that runs, or waits to; does not wait for it. */
    fun end() {
        current?.cancel()
    }

    /** Begins the next piece of work, once the one before has ended. */
    fun begin(work: suspend () -> Unit) {
        current = scope.launch { turn.withLock { work() } }
    }

    /** Ends it for good. */
    override fun close() = scope.cancel()
}
