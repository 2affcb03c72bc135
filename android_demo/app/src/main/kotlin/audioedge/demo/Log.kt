package audioedge.demo

import android.app.Activity
import android.view.View
import android.view.ViewGroup
import android.widget.BaseAdapter
import android.widget.Button
import android.widget.TextView
import audioedge.core.Heard
import audioedge.core.KeptState

/** The list of what was heard, the newest first. */
class Log(private val activity: Activity, private val wrong: (String) -> Unit) : BaseAdapter() {
    private var lines: List<Heard> = emptyList()
    private var kept = KeptState()

    fun show(heard: List<Heard>) {
        if (heard == lines) return
        lines = heard
        notifyDataSetChanged()
    }

    fun show(state: KeptState) {
        kept = state
        notifyDataSetChanged()
    }

    override fun getCount() = lines.size

    override fun getItem(position: Int) = lines[position]

    override fun getItemId(position: Int) = position.toLong()

    override fun getView(position: Int, old: View?, parent: ViewGroup): View {
        val view = old ?: activity.layoutInflater.inflate(R.layout.line, parent, false)
        val heard = lines[position]
        view.findViewById<TextView>(R.id.time).text = activity.getString(R.string.seconds, heard.timeS)
        view.findViewById<TextView>(R.id.label).text = heard.label
        view.findViewById<TextView>(R.id.score).text = activity.getString(R.string.score, heard.score)
        showWrong(view.findViewById(R.id.wrong), heard)
        return view
    }

    /** The button for a line whose sound is kept. */
    private fun showWrong(button: Button, heard: Heard) {
        val name = heard.kept?.takeIf { it in kept.names }
        val marked = name in kept.reported
        button.visibility = if (name == null) View.GONE else View.VISIBLE
        button.isEnabled = !marked
        button.setText(if (marked) R.string.marked else R.string.wrong)
        button.contentDescription = activity.getString(if (marked) R.string.marked_label else R.string.wrong_label, heard.label)
        button.setOnClickListener { name?.let(wrong) }
    }
}
