"""Which operators a provider documents, so that a lint can name those that will fall back to the CPU.

Names are `domain:operator`, the default domain being `ai.onnx`.
"""

# onnxruntime/onnxruntime-qnn, docs/execution_providers/QNN-ExecutionProvider.md ("Supported ONNX operators"),
# and what its release notes 2.4.0, 2.5.0 and 2.7.0 add. `ConvInteger`, `MatMulInteger` and
# `DynamicQuantizeLinear` are left out: they are taken in fused patterns of dynamic quantisation only.
HTP = frozenset(
    f"ai.onnx:{name}"
    for name in """
    Abs Add And ArgMax ArgMin ArrayFeatureExtractor Asin Atan AveragePool BatchNormalization Cast Ceil Clip Concat Conv
    ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Einsum Elu Equal Exp Expand Flatten Floor GRU Gather
    GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample
    GroupNormalization HardSigmoid HardSwish Identity If InstanceNormalization Inverse IsInf IsNaN LRN LSTM
    LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization LpPool MatMul Max MaxPool MaxRoiPool
    Mean Min Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear
    RMSNormalization RandomNormalLike RandomUniformLike Reciprocal ReduceL2 ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum Relu Reshape Resize RoiAlign RotaryEmbedding Round STFT ScatterElements ScatterND
    Selu Shape Sigmoid Sign Sin Slice Softmax Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh
    ThresholdedRelu Tile TopK Transpose Unsqueeze Upsample Where Xor
    """.split()
) | frozenset(
    f"com.microsoft:{name}"
    for name in """
    DequantizeLinear FusedMatMul Gelu MatMulNBits QuantizeLinear QuickGelu RotaryEmbedding SimplifiedLayerNormalization
    """.split()
)

# microsoft/onnxruntime, docs/execution-providers/Xnnpack-ExecutionProvider.md ("Supported ops") and
# onnxruntime/core/providers/xnnpack/detail/utils.cc (GetQuantizedOpType): what it takes between
# DequantizeLinear and QuantizeLinear. Gemm and MatMul are taken in float only.
XNNPACK_QUANTISED = frozenset(
    f"ai.onnx:{name}" for name in ("AveragePool", "Conv", "ConvTranspose", "MaxPool", "Resize", "Softmax")
)
XNNPACK_FLOAT = XNNPACK_QUANTISED | {"ai.onnx:Gemm", "ai.onnx:MatMul"}
