// The page around the seed's component, which is typed above as it stands in the seed (with an export added).
import { createRoot } from "react-dom/client";
import ChatComponent from "./ChatComponent";

createRoot(document.getElementById("root")!).render(<ChatComponent />);
