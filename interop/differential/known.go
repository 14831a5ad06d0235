package differential

import (
	"fmt"
	"os"
	"path"
	"strings"
)

// Known are the differences that stay, each with its reason: a file of lines "API | story | path | reason", the first three
// patterns as path.Match has them, where * also stands for dots and brackets.
type Known struct {
	rules []rule
}

type rule struct {
	api, story, path, reason string
	used                     bool
}

// ReadKnown reads the file; blank lines and lines with # are for people.
func ReadKnown(name string) (*Known, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	k := &Known{}
	for number, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		f := strings.SplitN(line, " | ", 4)
		if len(f) != 4 {
			return nil, fmt.Errorf("%s:%d: not of the form API | story | path | reason", name, number+1)
		}
		k.rules = append(k.rules, rule{api: f[0], story: f[1], path: f[2], reason: f[3]})
	}
	return k, nil
}

func (k *Known) reason(d Difference) string {
	if k == nil {
		return ""
	}
	for i := range k.rules {
		r := &k.rules[i]
		if match(r.api, d.API) && match(r.story, d.Story) && match(r.path, d.Path) {
			r.used = true
			return r.reason
		}
	}
	return ""
}

// Unused are the rules that no difference needed: they have been fixed, or never were.
func (k *Known) Unused() (unused []string) {
	for _, r := range k.rules {
		if !r.used {
			unused = append(unused, strings.Join([]string{r.api, r.story, r.path}, " | "))
		}
	}
	return unused
}

// match matches with * for any text; nothing else is special.
func match(pattern, s string) bool {
	escape := strings.NewReplacer("[", `\[`, "]", `\]`, "?", `\?`, "/", ".")
	ok, _ := path.Match(escape.Replace(pattern), strings.ReplaceAll(s, "/", "."))
	return ok
}
