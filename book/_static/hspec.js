// Tables of verdicts become cards on a narrow screen: each cell then shows its column's name.
// Verdicts are coloured by the word in their cell. On paper the book is light and complete.
document.addEventListener("DOMContentLoaded", () => {
  // A table of rules is made by a notebook as HTML, which the build leaves as it is.
  for (const name of document.querySelectorAll("table.dataframe thead th"))
    if (name.textContent === "rule") name.closest("table").classList.add("verdicts");
  for (const table of document.querySelectorAll("table.verdicts")) {
    const names = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, i) => {
        cell.dataset.label = names[i];
        const mark = { "✓": "holds", "✗": "fails", "?": "open" }[cell.textContent.trim()[0]];
        if (mark) cell.classList.add("verdict", mark);
      });
    }
  }
  // What belongs to a formula goes with it into the next line: a comma, a bracket, the rest of "C-th".
  for (const formula of document.querySelectorAll(".bd-article span.math")) {
    const after = formula.nextSibling;
    const [tail] = (after?.nodeType === Node.TEXT_NODE && after.data.match(/^(?:-[a-z]+|[,.;:)\]’”]|’s)+/)) || [];
    if (!tail) continue;
    after.data = after.data.slice(tail.length);
    const whole = document.createElement("span");
    whole.style.whiteSpace = "nowrap";
    formula.replaceWith(whole);
    whole.append(formula, tail);
  }
  // Wide blocks scroll by keyboard, too.
  for (const block of document.querySelectorAll(".bd-article pre, .bd-article .pst-scrollable-table-container"))
    if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
});

// The snippets of search results have formulas as they are in the source: say them in letters.
const LETTERS = {
  alpha: "α", beta: "β", delta: "δ", varepsilon: "ε", theta: "θ", lambda: "λ", pi: "π", rho: "ρ",
  sigma: "σ", tau: "τ", Delta: "Δ", Sigma: "Σ", cdot: "·", le: "≤", ge: "≥", approx: "≈",
  times: "×", top: "ᵀ", dots: "…", sqrt: "√", nabla: "∇", sum: "Σ", int: "∫", frac: "",
};
const spelled = (tex) =>
  tex.replace(/\\([A-Za-z]+) ?/g, (_, name) => LETTERS[name] ?? "").replace(/[{}]|\\[,;!]/g, "");
const inLetters = (text) => text.replace(/\\\((.*?)(\\\)|$)/gs, (_, tex) => spelled(tex));
document.addEventListener("DOMContentLoaded", () => {
  const results = document.querySelector("#search-results");
  if (!results) return;
  new MutationObserver(() => {
    for (const snippet of results.querySelectorAll("p.context")) {
      const texts = document.createTreeWalker(snippet, NodeFilter.SHOW_TEXT);
      while (texts.nextNode())
        if (/\\/.test(texts.currentNode.data))
          texts.currentNode.data = inLetters(texts.currentNode.data);
    }
  }).observe(results, { childList: true, subtree: true });
});

let asOnScreen = () => {};
window.addEventListener("beforeprint", () => {
  const page = document.documentElement;
  const theme = page.dataset.theme;
  const closed = [...document.querySelectorAll("details:not([open])")];
  page.dataset.theme = "light";
  closed.forEach((block) => (block.open = true));
  asOnScreen = () => {
    page.dataset.theme = theme;
    closed.forEach((block) => (block.open = false));
  };
});
window.addEventListener("afterprint", () => asOnScreen());
