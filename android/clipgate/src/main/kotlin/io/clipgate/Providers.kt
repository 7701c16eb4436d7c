package io.clipgate

/**
 * What can execute the image graph: execution providers of ONNX Runtime.
 *
 * @property code its name in [ProviderReport].
 */
public enum class Provider(public val code: String) {
    /** ONNX Runtime's own kernels; always there. */
    CPU("cpu"),

    /** XNNPACK's kernels, on the CPU; in the AAR of ONNX Runtime. */
    XNNPACK("xnnpack"),

    /** Android's Neural Networks API. **Legacy**: Google has deprecated it, and drivers differ in what they compute. */
    NNAPI("nnapi"),

    /** Qualcomm's Hexagon NPU, through a plugin library of Qualcomm's: see [ClassifierOptions.Builder.qnnPlugin]. */
    QNN("qnn"),
}

/**
 * Which providers are tried, in which order.
 *
 * None is ever passed over in silence: [ModelInfo.providers] says what came of each, as does the log. Each must compute
 * the bundle's self-test rightly before it may answer.
 */
public class Providers private constructor(internal val list: String) {
    override fun toString(): String = list

    public companion object {
        /** The CPU alone: the default. */
        @JvmField
        public val CPU: Providers = Providers(Provider.CPU.code)

        /** These in their order, and the CPU where none of them can be used. */
        @JvmStatic
        public fun firstOf(vararg providers: Provider): Providers =
            Providers(providers.joinToString(",") { it.code })

        /** This one for the whole graph, or an exception. */
        @JvmStatic
        public fun required(provider: Provider): Providers = Providers("${provider.code}!")

        /** All that are there are measured; the fastest that computes rightly is taken. */
        @JvmStatic
        public fun fastest(): Providers = Providers("auto")
    }
}
