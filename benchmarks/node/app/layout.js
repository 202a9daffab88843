// Next.js wants a layout, though nothing here is a page.
export default function Layout({ children }) {
  return children
}
