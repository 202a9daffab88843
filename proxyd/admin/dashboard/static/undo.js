// Taking back what was done, by the audit log.

import { api } from "./api.js"
import { toast } from "./dialogs.js"
import { modelName } from "./entities.js"

/** Undo an entry of the audit log. */
export async function undo(id) {
  await api.post(`/audit/${encodeURIComponent(id)}/undo`, {})
  toast("ok", "It is undone")
}

/** Undo the last change of an entity. */
export async function undoLast(collection, entity) {
  const { data: [last] } = await api.get("/audit", { query: { collection: modelName(collection), entity, size: 1 } })
  if (!last) throw new Error("The audit log does not know of it")
  await undo(last.id)
}
