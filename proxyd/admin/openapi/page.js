// Searching the reference: what does not have every word is hidden, and what a link leads to is opened.
const search = document.getElementById("search");
const count = document.getElementById("count");
const nothing = document.getElementById("nothing");
const groups = [...document.querySelectorAll(".group")].map((element) => ({
  element,
  items: [...element.querySelectorAll(".item")].map((item) => ({
    item,
    text: item.textContent.toLowerCase(),
  })),
}));

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const { element, items } of groups) {
    let here = 0;
    for (const { item, text } of items) {
      item.hidden = !words.every((word) => text.includes(word));
      here += item.hidden ? 0 : 1;
    }
    element.hidden = here === 0;
    found += here;
  }
  nothing.hidden = found > 0;
  count.textContent = words.length ? `${found} found` : "";
}

function open() {
  const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!wanted) return;
  if (wanted.closest("[hidden]")) {
    search.value = "";
    filter();
  }
  if (wanted.tagName === "DETAILS") wanted.open = true;
  wanted.scrollIntoView();
}

search.addEventListener("input", filter);
addEventListener("hashchange", open);
addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
  }
});
filter();
open();
