package io.clipgate

import java.io.File

/** What a classifier tells apart. */
public class Labels private constructor(
    private val bank: File?,
    private val names: List<String>?,
    private val templates: List<String>,
) {
    internal fun write(message: MessageWriter) {
        message.optional(bank) { message.text(it.path) }
        message.optional(names) { message.list(it, message::text) }
        message.list(templates, message::text)
    }

    public companion object {
        /** The bundle's own labels, which its calibration was fitted on. */
        @JvmStatic
        public fun bundled(): Labels = Labels(null, null, emptyList())

        /**
         * Labels in words, through the bundle's text encoder, which runs once for each while a classifier is opened.
         * Thresholds were not fitted on them: answers say so ([Classification.isCalibrated]) and promise nothing.
         *
         * The bundle's own labels and negatives stand beside them, but for those that may mean the same: they share the
         * probability and never win, so that what is none of your labels is told. [fromFile] takes others, or none.
         */
        @JvmStatic
        public fun of(vararg names: String): Labels = of(names.toList())

        /**
         * Labels in words, each put into every template at `{}`, whose embeddings are averaged. The bundle's own template
         * is used where there are none.
         */
        @JvmStatic
        @JvmOverloads
        public fun of(names: List<String>, templates: List<String> = emptyList()): Labels =
            Labels(null, names.toList(), templates.toList())

        /** A label bank that `clipgate labels build` made. */
        @JvmStatic
        public fun fromFile(bank: File): Labels = Labels(bank, null, emptyList())
    }
}
