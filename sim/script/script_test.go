package script

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into the stories")

// forEachStory runs a test on every story.
func forEachStory(t *testing.T, test func(t *testing.T, file, told string)) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			told, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			test(t, file, string(told))
		})
	}
}

// Every story in testdata goes as it is told.
func TestStoriesGoAsTold(t *testing.T) {
	forEachStory(t, func(t *testing.T, file, told string) {
		played, err := Play(told)
		if err != nil {
			t.Fatal(err)
		}
		if *rewrite {
			if err := os.WriteFile(file, []byte(played), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		if played != told {
			t.Errorf("it went otherwise (-rewrite takes it over):\n%s", difference(told, played))
		}
	})
}

// A story tells what must happen, not what may: it goes the same way on slower and faster disks and links, and, unless
// it picks a seed, with other seeds. So a change of the core that is none of a story's business leaves it alone.
func TestStoriesDoNotHangOnTiming(t *testing.T) {
	variants := []string{
		"cluster link.delay=100us\n", "cluster link.delay=2ms\n", "cluster disk.sync=1ms\n", "cluster disk.sync=12ms\n",
		"seed 2\n", "seed 3\n", "seed 4\n",
	}
	forEachStory(t, func(t *testing.T, _, told string) {
		for _, variant := range variants {
			played, err := play(told, header+variant)
			if err != nil {
				t.Fatal(err)
			}
			if played != told {
				t.Errorf("with %s%s", variant, difference(told, played))
			}
		}
	})
}

// difference is the first line that is not as told, and those around it.
func difference(told, played string) string {
	a, b := strings.Split(told, "\n"), strings.Split(played, "\n")
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	around := func(lines []string) string {
		return strings.Join(lines[max(0, min(at, len(lines))-4):min(at+6, len(lines))], "\n")
	}
	return "told:\n" + around(a) + "\nplayed:\n" + around(b)
}

func TestStoryThatMakesNoSenseIsAnError(t *testing.T) {
	for _, text := range []string{
		"produce t/0 a",
		"start\nwander n1",
		"start\nfault boredom n1",
		"start\nwait for better days",
		"start\nwait leader t n1",
		"start\nproduce t/0 a acks=some",
		"cluster wheels=4\nstart",
	} {
		if _, err := Play("# A story.\n\n" + text); err == nil {
			t.Errorf("%q was played", text)
		}
	}
}

func TestWhatDoesNotComeTrueIsPartOfTheStory(t *testing.T) {
	played, err := Play("cluster brokers=1 voters=1\nstart\nwait controller n2 for=1ms\nheal\nfault kill n9\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"error: 1ms passed without: controller n2", "error: there is nothing to heal", `error: no host "n9"`} {
		if !strings.Contains(played, want) {
			t.Errorf("no %q in\n%s", want, played)
		}
	}
}
