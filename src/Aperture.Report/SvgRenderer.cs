using System.Globalization;
using System.Text;
using System.Xml;
using Aperture.Report.Svg;

namespace Aperture.Report;

/// <summary>A map as a picture (SVG 1.1, self-contained): the guest physical address space on a broken logarithmic scale, and the I/O ports.</summary>
public static class SvgRenderer
{
    private const string Namespace = "http://www.w3.org/2000/svg";

    /// <summary>The document, ended by <c>\n</c>. The same report gives the same text.</summary>
    public static string Render(PlanReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        return Write(SceneBuilder.Build(report));
    }

    private static string Write(Scene scene)
    {
        StringBuilder text = new();
        using (XmlWriter xml = XmlWriter.Create(text, new XmlWriterSettings { Indent = true, NewLineChars = "\n", OmitXmlDeclaration = true }))
        {
            xml.WriteStartElement("svg", Namespace);
            xml.WriteAttributeString("viewBox", $"0 0 {Number(scene.Width)} {Number(scene.Height)}");
            xml.WriteAttributeString("width", Number(scene.Width));
            xml.WriteAttributeString("height", Number(scene.Height));
            xml.WriteAttributeString("role", "img");
            xml.WriteElementString("title", Namespace, "Guest physical address space");
            xml.WriteElementString("style", Namespace, "\n" + StyleSheet.Text + "\n");
            Rectangle(xml, new Block(new Box(0, 0, scene.Width, scene.Height), "paper"));
            foreach (Block block in scene.Blocks)
            {
                Rectangle(xml, block);
            }

            foreach (Stroke stroke in scene.Strokes)
            {
                Line(xml, stroke);
            }

            foreach (Label label in scene.Labels)
            {
                Words(xml, label);
            }

            xml.WriteEndElement();
        }

        return text.Append('\n').ToString();
    }

    private static void Rectangle(XmlWriter xml, Block block)
    {
        xml.WriteStartElement("rect", Namespace);
        xml.WriteAttributeString("class", block.Style);
        xml.WriteAttributeString("x", Number(block.Box.X));
        xml.WriteAttributeString("y", Number(block.Box.Y));
        xml.WriteAttributeString("width", Number(block.Box.Width));
        xml.WriteAttributeString("height", Number(block.Box.Height));
        if (block.Tip is { } tip)
        {
            xml.WriteElementString("title", Namespace, Scene.Clean(tip));
        }

        xml.WriteEndElement();
    }

    private static void Line(XmlWriter xml, Stroke stroke)
    {
        xml.WriteStartElement("polyline", Namespace);
        xml.WriteAttributeString("class", stroke.Style);
        xml.WriteAttributeString("points", string.Join(' ', stroke.Points.Select(p => $"{Number(p.X)},{Number(p.Y)}")));
        xml.WriteEndElement();
    }

    private static void Words(XmlWriter xml, Label label)
    {
        Box box = label.Box;
        xml.WriteStartElement("text", Namespace);
        xml.WriteAttributeString("class", $"{label.Font.Class} {label.Style}");
        if (label.Rotated)
        {
            xml.WriteAttributeString("transform", $"translate({Number(box.X + label.Font.Ascent)} {Number(box.Bottom)}) rotate(-90)");
        }
        else
        {
            xml.WriteAttributeString("x", Number(label.Right ? box.Right : box.X));
            xml.WriteAttributeString("y", Number(box.Y + label.Font.Ascent));
        }

        if (label.Right)
        {
            xml.WriteAttributeString("text-anchor", "end");
        }

        xml.WriteString(label.Text);
        xml.WriteEndElement();
    }

    private static string Number(double value) => Math.Round(value, 2).ToString("0.##", CultureInfo.InvariantCulture);
}
