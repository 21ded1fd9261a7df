/* A driver of the partition function (docs/mediation.md) that does what lines of words tell it, for a guest with an operating system and for one without. Pages
   are the window's, by number.
     claim FIRST COUNT          rings the doorbell:                      APERTURE status NUMBER
     give FIRST COUNT           the same to give them up
     fill FIRST COUNT NUMBER    writes a pattern that tells page and NUMBER to the first 4 KiB of each page:     APERTURE filled COUNT
     look FIRST COUNT           what is in each:                         APERTURE page PAGE NUMBER|zeros|ones|mixed
     counts                     registers 0x10 to 0x1C:                  APERTURE counts ALL FREE HELD TAKEN
     taken                      pages that were taken and not told of:   APERTURE taken PAGE...
     watch COUNT                the same once COUNT have been taken since the reset, which it waits for
   Whoever includes this has print(text), print_number(number), and the two BARs. */
typedef unsigned partition_word;

enum { PARTITION_WORDS = 1024, PARTITION_MAGIC = 0x54505041 };
enum { IDENTIFICATION = 0x00, PAGE_SHIFT = 0x08, ALL_PAGES = 0x10, FREE_PAGES = 0x14, HELD_PAGES = 0x18, TAKEN_PAGES = 0x1C };
enum { FIRST_PAGE = 0x20, PAGE_COUNT = 0x24, DOORBELL = 0x28, STATUS_WORD = 0x2C, NEXT_TAKEN = 0x30 };
enum { CLAIM = 1, GIVE_UP = 2 };

static volatile partition_word *registers, *window;

static void print(const char *text);
static void print_number(unsigned number);

static partition_word pattern(partition_word number, partition_word page, partition_word at)
{
    return (number << 24 | page << 12) + at + 1;
}

static volatile partition_word *page_at(partition_word page)
{
    return window + ((unsigned long)page << registers[PAGE_SHIFT / 4]) / 4;
}

static void ring(partition_word command, partition_word first, partition_word count)
{
    registers[FIRST_PAGE / 4] = first;
    registers[PAGE_COUNT / 4] = count;
    registers[DOORBELL / 4] = command;
    print("APERTURE status ");
    print_number(registers[STATUS_WORD / 4]);
    print("\n");
}

static void fill(partition_word first, partition_word count, partition_word number)
{
    for (partition_word page = first; page < first + count; page++) {
        volatile partition_word *words = page_at(page);
        for (partition_word i = 0; i < PARTITION_WORDS; i++)
            words[i] = pattern(number, page, i);
    }
    print("APERTURE filled ");
    print_number(count);
    print("\n");
}

static void look(partition_word page)
{
    volatile partition_word *words = page_at(page);
    partition_word first = words[0], number = first >> 24, alike = 1, filled = 1;
    for (partition_word i = 0; i < PARTITION_WORDS; i++) {
        partition_word word = words[i];
        alike &= word == first;
        filled &= word == pattern(number, page, i);
    }
    print("APERTURE page ");
    print_number(page);
    print(" ");
    if (filled)
        print_number(number);
    else
        print(alike && first == 0 ? "zeros" : alike && first == ~0u ? "ones" : "mixed");
    print("\n");
}

static void tell_taken(void)
{
    print("APERTURE taken");
    for (partition_word page; (page = registers[NEXT_TAKEN / 4]) != ~0u;) {
        print(" ");
        print_number(page);
    }
    print("\n");
}

static void counts(void)
{
    print("APERTURE counts");
    for (partition_word at = ALL_PAGES; at <= TAKEN_PAGES; at += 4) {
        print(" ");
        print_number(registers[at / 4]);
    }
    print("\n");
}

/* next_word LINE WORD: true when the line goes on with the word, which is passed then. */
static int next_word(const char **line, const char *word)
{
    const char *at = *line;
    while (*word && *at == *word)
        at++, word++;
    if (*word || (*at && *at != ' '))
        return 0;
    *line = at;
    return 1;
}

static partition_word next_number(const char **line)
{
    partition_word number = 0;
    while (**line == ' ')
        ++*line;
    for (; **line >= '0' && **line <= '9'; ++*line)
        number = number * 10 + (**line - '0');
    return number;
}

/* Carries a line out; false when it is none. */
static int obey(const char *line)
{
    partition_word claims = next_word(&line, "claim");
    if (claims || next_word(&line, "give")) {
        partition_word first = next_number(&line);
        ring(claims ? CLAIM : GIVE_UP, first, next_number(&line));
    } else if (next_word(&line, "counts")) {
        counts();
    } else if (next_word(&line, "taken")) {
        tell_taken();
    } else if (next_word(&line, "watch")) {
        partition_word count = next_number(&line);
        while (registers[TAKEN_PAGES / 4] < count)
            ;
        tell_taken();
    } else if (next_word(&line, "fill")) {
        partition_word first = next_number(&line), count = next_number(&line);
        fill(first, count, next_number(&line));
    } else if (next_word(&line, "look")) {
        partition_word first = next_number(&line), count = next_number(&line);
        for (partition_word page = first; page < first + count; page++)
            look(page);
    } else {
        return 0;
    }
    return 1;
}
