package audioedge.demo

import android.app.Activity
import android.view.View
import android.widget.Button
import android.widget.ListView
import android.widget.ProgressBar
import android.widget.RadioButton
import android.widget.RadioGroup
import android.widget.Switch
import android.widget.TextView
import audioedge.core.HIT_S
import audioedge.core.HitFolder
import audioedge.core.KeptState
import audioedge.core.Mode
import audioedge.core.Permission
import audioedge.core.UiState

/** What the buttons do. */
class Actions(
    val listen: () -> Unit,
    val stop: () -> Unit,
    val choose: (Int) -> Unit,
    val benchmark: () -> Unit,
    val share: (json: String) -> Unit,
    val settings: () -> Unit,
)

/** What the buttons of what is kept do; [wrong] and [agree] with a name and a yes or no. */
class KeptActions(
    val agree: (Boolean) -> Unit,
    val wrong: (String) -> Unit,
    val export: () -> Unit,
    val clear: () -> Unit,
)

private const val QUIETEST_DB = -60 // left end of the level

/** The views, and how a state looks in them. All of it scrolls, so that it fits at any size of letters. */
class Screen(private val activity: Activity, private val actions: Actions, kept: KeptActions) {
    private val log = Log(activity, kept.wrong)
    private val level: ProgressBar
    private val latest: TextView
    private val models: RadioGroup
    private val listen: Button
    private val benchmark: Button
    private val figures: TextView
    private val message: TextView
    private val settings: Button
    private val results: TextView
    private val share: Button
    private val keep: Switch
    private val kept: TextView
    private val export: Button
    private val clear: Button

    init {
        activity.setContentView(R.layout.main)
        val list = activity.findViewById<ListView>(R.id.log)
        list.addHeaderView(activity.layoutInflater.inflate(R.layout.head, list, false), null, false)
        list.adapter = log
        list.itemsCanFocus = true // the buttons of its head, for a keyboard
        level = find(R.id.level)
        latest = find(R.id.latest)
        models = find(R.id.models)
        listen = find(R.id.listen)
        benchmark = find(R.id.benchmark)
        figures = find(R.id.figures)
        message = find(R.id.message)
        settings = find(R.id.settings)
        results = find(R.id.results)
        share = find(R.id.share)
        keep = find(R.id.keep)
        this.kept = find(R.id.kept)
        export = find(R.id.export)
        clear = find(R.id.clear)
        benchmark.setOnClickListener { actions.benchmark() }
        settings.setOnClickListener { actions.settings() }
        keep.text = text(R.string.keep, HIT_S, HitFolder.MOST)
        keep.setOnClickListener { kept.agree(keep.isChecked) }
        export.setOnClickListener { kept.export() }
        clear.setOnClickListener { kept.clear() }
    }

    fun show(state: KeptState) {
        keep.isChecked = state.on
        val count = text(R.string.kept, state.names.size, state.reported.size).takeIf { state.names.isNotEmpty() }
        kept.show(listOfNotNull(count, state.message).joinToString("\n"))
        for (button in listOf(export, clear)) button.visibility = if (state.names.isEmpty()) View.GONE else View.VISIBLE
        log.show(state)
    }

    fun show(state: UiState) {
        val busy = state.mode != Mode.IDLE
        level.progress = if (state.mode == Mode.LISTENING) (state.levelDb - QUIETEST_DB).toInt().coerceIn(0, -QUIETEST_DB) else 0
        latest.show(heading(state))
        // with its time, so that a screen reader says a word that comes twice again
        latest.contentDescription = state.log.firstOrNull()?.takeIf { state.mode == Mode.LISTENING }?.let {
            text(R.string.heard, it.label, it.timeS)
        }
        listen.show(text(if (busy) R.string.stop else R.string.listen))
        listen.setOnClickListener { if (busy) actions.stop() else actions.listen() }
        benchmark.isEnabled = state.models.isNotEmpty() && state.mode != Mode.BENCHMARK
        figures.show(figures(state))
        message.show(message(state))
        settings.visibility = if (state.permission == Permission.REFUSED) View.VISIBLE else View.GONE
        showModels(state)
        showBenchmark(state)
        log.show(state.log)
    }

    private fun heading(state: UiState) = when (state.mode) {
        Mode.LISTENING -> state.log.firstOrNull()?.label ?: text(R.string.nothing)
        Mode.PAUSED -> text(R.string.paused)
        Mode.BENCHMARK -> text(R.string.measuring)
        Mode.IDLE -> text(R.string.idle)
    }

    private fun figures(state: UiState): String {
        val p50 = state.p50Ms ?: return ""
        return text(R.string.figures, p50, state.p90Ms ?: p50, state.heardS, state.droppedMs)
    }

    private fun message(state: UiState) = listOfNotNull(
        text(R.string.refused).takeIf { state.permission == Permission.REFUSED },
        text(R.string.no_models).takeIf { state.models.isEmpty() },
        state.message,
    ).joinToString("\n")

    private fun showModels(state: UiState) {
        if (models.childCount != state.models.size) {
            models.removeAllViews()
            for ((index, name) in state.models.withIndex()) {
                val button = RadioButton(activity).apply {
                    id = View.generateViewId()
                    text = name.removeSuffix(".tflite")
                    minHeight = activity.resources.getDimensionPixelSize(R.dimen.touch)
                    setOnClickListener { actions.choose(index) }
                }
                models.addView(button)
            }
        }
        (models.getChildAt(state.chosen) as RadioButton?)?.isChecked = true
    }

    private fun showBenchmark(state: UiState) {
        val benchmark = state.benchmark
        val rows = benchmark?.rows.orEmpty().map { text(R.string.row, it.name.removeSuffix(".tflite"), it.p50Ms, it.p90Ms) }
        val progress = benchmark?.takeIf { it.json == null }?.let { text(R.string.progress, (100 * it.progress).toInt()) }
        results.show((rows + listOfNotNull(progress)).joinToString("\n"))
        share.visibility = if (benchmark?.json == null) View.GONE else View.VISIBLE
        share.setOnClickListener { benchmark?.json?.let(actions.share) }
    }

    private fun text(id: Int, vararg values: Any): String = activity.getString(id, *values)

    private fun <T : View> find(id: Int): T = activity.findViewById(id)
}

/** Sets the text only where it is another one, which a screen reader would say again; hides what is empty. */
private fun TextView.show(words: String) {
    if (text.toString() != words) text = words
    visibility = if (words.isEmpty()) View.GONE else View.VISIBLE
}
