package script

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into the stories")

// Every story in testdata goes as it is told.
func TestStoriesGoAsTold(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { checkStory(t, file) })
	}
}

func checkStory(t *testing.T, file string) {
	told, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	played, err := Play(string(told))
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(played), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if played != string(told) {
		t.Errorf("it went otherwise (-rewrite takes it over):\n%s", played)
	}
}
