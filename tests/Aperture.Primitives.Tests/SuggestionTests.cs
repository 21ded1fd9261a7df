using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Primitives.Tests;

public class SuggestionTests
{
    private static readonly string[] Verbs = ["run", "plan", "host", "verify", "attach", "detach", "demo", "lab run", "completion"];

    [Theory]
    [InlineData("lab", "lab run")]
    [InlineData("rum", "run")]
    [InlineData("ru", "run")]
    [InlineData("plna", "plan")]
    [InlineData("atach", "attach")]
    [InlineData("dettach", "detach")]
    [InlineData("veirfy", "verify")]
    [InlineData("complet", "completion")]
    [InlineData("frobnicate", null)]
    [InlineData("kvm", null)]
    [InlineData("ab", null)]
    [InlineData("", null)]
    public void A_verb_is_suggested_only_when_it_is_near(string word, string? near) => Assert.Equal(near, Suggestion.Nearest(word, Verbs));

    [Theory]
    [InlineData("--memroy", "--memory")]
    [InlineData("--mem", "--memory")]
    [InlineData("--kernl", "--kernel")]
    [InlineData("--root-ports", "--root-port")]
    [InlineData("--zzzzzzzzzz", null)]
    public void An_option_is_suggested_only_when_it_is_near(string word, string? near) =>
        Assert.Equal(near, Suggestion.Nearest(word, ["--kernel", "--memory", "--root-port", "--device"]));

    [Fact]
    public void A_word_of_the_list_is_its_own_suggestion_and_one_edit_is_found_again()
    {
        Gen<(string Word, int Seed)> cases = from word in Gen.Elements(Verbs.Where(v => v.Length > 3))
                                             from seed in Gen.Choose(0, int.MaxValue)
                                             select (word, seed);
        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            Assert.Equal(c.Word, Suggestion.Nearest(c.Word, Verbs));
            Assert.Equal(c.Word, Suggestion.Nearest(Edited(c.Word, new Random(c.Seed)), [c.Word, "zzzzzzzzzzzzz"]));
        }).Holds(500);
    }

    private static string Edited(string word, Random random)
    {
        int at = random.Next(word.Length - 1);
        return random.Next(4) switch
        {
            0 => word.Remove(at, 1),
            1 => word.Insert(at, "q"),
            2 => word[..at] + "q" + word[(at + 1)..],
            _ => word[..at] + word[at + 1] + word[at] + word[(at + 2)..],
        };
    }
}
