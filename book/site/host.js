/* The page's stand-in for a widget manager: a model read from the JSON beside the film.

   A film in a page is
     <div class="kvmexit-film"><script type="application/json">{…}</script>still frame</div>
   Each key of the JSON is a trait of the model. The still frame is what is seen with scripts
   off; it goes when the film is drawn. Inserted behind the player (light.py). */

function pageModel(traits) {
  const listeners = new Map();
  return {
    get: (name) => traits[name],
    set(name, value) {
      if (traits[name] === value) return;
      traits[name] = value;
      for (const heard of [`change:${name}`, "change"])
        for (const listener of listeners.get(heard) ?? []) listener();
    },
    on(event, listener) {
      listeners.set(event, [...(listeners.get(event) ?? []), listener]);
    },
    off(event, listener) {
      listeners.set(event, (listeners.get(event) ?? []).filter((one) => one !== listener));
    },
    save_changes() {},
  };
}

for (const still of document.querySelectorAll(".kvmexit-film")) {
  const data = still.querySelector('script[type="application/json"]');
  const el = document.createElement("div");
  player.render({ model: pageModel(JSON.parse(data.textContent)), el });
  still.replaceChildren(el);
}
