namespace Aperture.Report.Svg;

/// <summary>The picture's colours, for light and for dark surroundings, inside the picture itself.</summary>
internal static class StyleSheet
{
    public const string Text = """
        text { fill: #1f2328; }
        .t { font: 600 17px ui-sans-serif, "DejaVu Sans", "Liberation Sans", Arial, sans-serif; }
        .h { font: 600 13px ui-sans-serif, "DejaVu Sans", "Liberation Sans", Arial, sans-serif; }
        .m { font: 12px ui-monospace, "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace; }
        .s { font: 11px ui-monospace, "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace; }
        .r { font: 10px ui-monospace, "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace; }
        text.soft { fill: #59636e; }
        text.warn { fill: #bc1f2b; }
        .paper { fill: #ffffff; }
        .ram { fill: #8fb8de; }
        .ecam { fill: #b9a3dd; }
        .reserved { fill: #9aa1a9; }
        .window { fill: #e6e0cf; }
        .hole { fill: #f3efe4; }
        .free { fill: #f6f8fa; }
        .frame { fill: none; stroke: #59636e; stroke-width: 1; }
        .edge { fill: none; stroke: #818b98; stroke-width: 0.5; }
        .host { fill: #d9cfae; }
        .bridge { fill: #eae5d6; stroke: #b5a878; stroke-width: 0.7; }
        .io { fill: #4c9f70; }
        .mem32 { fill: #d98236; }
        .mem32p { fill: #e8b64c; }
        .mem64 { fill: #3d9aa8; }
        .mem64p { fill: #3f74c4; }
        .rom { fill: #9a6a4f; }
        .pin { fill: #1f2328; }
        .tick, .lead, .break { fill: none; stroke: #818b98; stroke-width: 1; }
        .dots { stroke-dasharray: 1 4; }
        @media (prefers-color-scheme: dark) {
          text { fill: #f0f6fc; }
          text.soft { fill: #9ea7b3; }
          text.warn { fill: #ff8a80; }
          .paper { fill: #0d1117; }
          .ram { fill: #2f5f8f; }
          .ecam { fill: #66509a; }
          .reserved { fill: #656c76; }
          .window { fill: #38331f; }
          .hole { fill: #24221a; }
          .free { fill: #151b23; }
          .frame { stroke: #9198a1; }
          .host { fill: #5f5530; }
          .bridge { fill: #332f1f; stroke: #85794a; }
          .io { fill: #3f9263; }
          .mem32 { fill: #c8742c; }
          .mem32p { fill: #d3a43f; }
          .mem64 { fill: #3a93a1; }
          .mem64p { fill: #4d82d6; }
          .rom { fill: #a3745a; }
          .pin { fill: #f0f6fc; }
          .tick, .lead, .break { stroke: #656c76; }
        }
        """;
}
